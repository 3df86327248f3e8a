//! Runs firmware in QEMU, with semihosting and an instruction a nanosecond.

use std::fs::{self, File};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use wait_timeout::ChildExt;

use crate::boards::Board;
use crate::process;
use crate::setup::{self, Report, Tool};

/// QEMU for Arm.
pub(crate) const PROGRAM: &str = "qemu-system-arm";

/// Longer than any run here takes, by far.
const TIME_OUT: Duration = Duration::from_secs(600);

/// What firmware printed, and whether it said that all is well.
#[derive(Debug)]
pub(crate) struct Outcome {
    /// Its lines.
    pub(crate) text: String,
    /// The same as bytes: logs of defmt are no text.
    pub(crate) output: Vec<u8>,
    /// Exit by semihosting without failure.
    pub(crate) success: bool,
}

/// Runs firmware until it exits.
///
/// file  one that the firmware is to read: it gets the path as its argument
///
/// # Errors
/// Where QEMU cannot be started, or does not end in time.
pub(crate) fn run(board: &Board, elf: &Path, file: Option<&Path>) -> Result<Outcome> {
    setup::ensure(&[Tool::Qemu], Report::Missing)?;
    let folder = tempfile::tempdir()?;
    let mut semihosting = "enable=on,target=native,arg=firmware".to_owned();
    if let Some(file) = file {
        // By a plain name: semihosting splits arguments at spaces, QEMU its options at commas.
        fs::copy(file, folder.path().join("input")).with_context(|| format!("cannot read {}", file.display()))?;
        semihosting += ",arg=input";
    }
    let output = folder.path().join("output");
    let mut command = command(board, elf, &semihosting)?;
    command.current_dir(folder.path()).stdin(Stdio::null());
    command.stdout(File::create(&output)?).stderr(File::options().append(true).open(&output)?);
    let mut child = command.spawn().with_context(|| format!("cannot start {PROGRAM}"))?;
    let status = child.wait_timeout(TIME_OUT)?;
    if status.is_none() {
        child.kill()?;
        child.wait()?;
    }
    let output = fs::read(&output)?;
    let text = String::from_utf8_lossy(&output).into_owned();
    let Some(status) = status else {
        bail!("`{}` did not end within {} s; it printed:\n{text}", process::line(&command), TIME_OUT.as_secs());
    };
    if process::interrupted() {
        bail!("stopped");
    }
    Ok(Outcome { text, output, success: status.success() })
}

/// The command that runs a firmware; `semihosting` is the value of that option.
///
/// # Errors
/// Where QEMU has no machine like the board.
pub(crate) fn command(board: &Board, elf: &Path, semihosting: &str) -> Result<Command> {
    let mut command = Command::new(PROGRAM);
    command.args(["-M", board.machine()?, "-nographic", "-monitor", "none", "-serial", "none", "-icount", "shift=0"]);
    command.args(["-semihosting-config", semihosting]).arg("-kernel").arg(std::path::absolute(elf)?);
    Ok(command)
}

/// Refuses firmware that was built with other kernels than its board deserves, by the line `backend NAME` that it printed.
///
/// # Errors
/// Where it printed another name, or none.
pub(crate) fn expect_backend(board: &Board, outcome: &Outcome) -> Result<()> {
    let (board, expected) = (board.name, board.backend.name());
    let found = outcome.text.lines().find_map(|line| line.strip_prefix("backend ")).unwrap_or("none");
    ensure!(found == expected, "{board}: the firmware ran the backend {found}, not {expected}:\n{}", outcome.text);
    Ok(())
}
