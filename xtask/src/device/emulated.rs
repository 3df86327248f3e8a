//! The firmware in QEMU: requests and replies are files, logs are its console.

use std::fs::{self, File};
use std::io::Read;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use anyhow::{Context, Result};
use tempfile::TempDir;

use super::{Device, Poll};
use crate::boards::Board;
use crate::qemu;

/// A program that reads `requests` in its folder, writes `replies`, and logs to its output.
pub(crate) struct Emulated<F> {
    command: F,
    run: Option<Run>,
}

struct Run {
    child: Child,
    replies: Tail,
    logs: Tail,
    /// Removed last.
    _folder: TempDir,
}

/// A file that grows.
struct Tail(File);

impl<F: Fn(&Path) -> Result<Command>> Emulated<F> {
    /// The command is made anew for every start, for the folder that it runs in.
    pub(crate) const fn new(command: F) -> Self {
        Self { command, run: None }
    }
}

/// The command that runs a firmware in QEMU with a model in its region of flash.
///
/// # Errors
/// Where QEMU has no such machine.
pub(crate) fn command(board: &Board, elf: &Path, image: &[u8], folder: &Path) -> Result<Command> {
    fs::write(folder.join("model"), image)?;
    let loader = format!("loader,file=model,addr={:#x},force-raw=on", board.memory.model.start);
    let mut command = qemu::command(board, elf, "enable=on,target=native,arg=firmware")?;
    command.args(["-device", &loader]);
    Ok(command)
}

impl<F: Fn(&Path) -> Result<Command>> Device for Emulated<F> {
    fn start(&mut self, requests: Vec<u8>) -> Result<()> {
        self.run = None;
        let folder = tempfile::tempdir()?;
        let path = |name: &str| folder.path().join(name);
        fs::write(path("requests"), requests)?;
        fs::write(path("replies"), [])?;
        let mut command = (self.command)(folder.path())?;
        command.current_dir(folder.path()).stdin(Stdio::null());
        command.stdout(File::create(path("logs"))?).stderr(File::create(path("messages"))?);
        let child = command.spawn().with_context(|| format!("cannot start {:?}", command.get_program()))?;
        let (replies, logs) = (Tail(File::open(path("replies"))?), Tail(File::open(path("logs"))?));
        self.run = Some(Run { child, replies, logs, _folder: folder });
        Ok(())
    }

    fn poll(&mut self) -> Result<Poll> {
        let run = self.run.as_mut().context("the device was not started")?;
        // Before the files are read: what it wrote last is seen as well.
        let ended = run.child.try_wait()?.map(|status| status.success());
        Ok(Poll { replies: run.replies.rest()?, logs: run.logs.rest()?, ended })
    }
}

impl Tail {
    fn rest(&mut self) -> Result<Vec<u8>> {
        let mut bytes = Vec::new();
        self.0.read_to_end(&mut bytes)?;
        Ok(bytes)
    }
}

impl Drop for Run {
    fn drop(&mut self) {
        // It has ended by itself, or is not needed any more.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[cfg(test)]
mod tests {
    use std::thread;
    use std::time::Duration;

    use super::*;

    fn shell(script: &'static str) -> impl Fn(&Path) -> Result<Command> {
        move |_| {
            let mut command = Command::new("sh");
            command.args(["-c", script]);
            Ok(command)
        }
    }

    #[test]
    fn replies_and_logs_come_as_they_are_written() {
        let mut device = Emulated::new(shell("cat requests > replies; printf log; exit 1"));
        device.start(b"abc".to_vec()).unwrap();
        let (mut replies, mut logs) = (Vec::new(), Vec::new());
        let ended = loop {
            let poll = device.poll().unwrap();
            replies.extend(poll.replies);
            logs.extend(poll.logs);
            match poll.ended {
                Some(success) => break success,
                None => thread::sleep(Duration::from_millis(1)),
            }
        };
        assert_eq!((&replies[..], &logs[..], ended), (&b"abc"[..], &b"log"[..], false));
    }

    #[test]
    fn a_program_that_is_missing_is_named() {
        let mut device = Emulated::new(|_: &Path| Ok(Command::new("no-such-emulator")));
        let error = device.start(Vec::new()).unwrap_err();
        assert!(error.to_string().contains("cannot start \"no-such-emulator\""), "{error}");
    }

    #[test]
    fn a_program_that_hangs_is_ended_with_its_device() {
        let mut device = Emulated::new(shell("exec sleep 1000"));
        device.start(Vec::new()).unwrap();
        assert_eq!(device.poll().unwrap().ended, None);
        let pid = device.run.as_ref().unwrap().child.id();
        drop(device);
        assert!(!Path::new(&format!("/proc/{pid}")).exists());
    }
}
