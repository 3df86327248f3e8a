//! Other programs: run, checked, interrupted.

use std::io::{BufRead as _, BufReader};
use std::panic;
use std::path::Path;
use std::process::{Command, ExitCode, Output, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::{Context, Result, bail};
use stepshift_trainer::broken_pipe;

/// Exit status after Ctrl-C, as shells report it.
pub(crate) const INTERRUPTED: u8 = 130;

static STOP: AtomicBool = AtomicBool::new(false);

/// Runs the program, which unwinds and ends as shells report it where nobody reads its output any more.
pub(crate) fn until_the_reader_is_gone(program: impl FnOnce() -> ExitCode + panic::UnwindSafe) -> ExitCode {
    let is_gone = |message: Option<&str>| message.is_some_and(broken_pipe::is_told_by);
    let other = panic::take_hook();
    panic::set_hook(Box::new(move |info| {
        if !is_gone(info.payload_as_str()) {
            other(info);
        }
    }));
    panic::catch_unwind(program).unwrap_or_else(|payload| {
        if is_gone(payload.downcast_ref::<String>().map(String::as_str)) {
            return ExitCode::from(broken_pipe::EXIT_STATUS);
        }
        panic::resume_unwind(payload)
    })
}

/// Ctrl-C reaches the running child as well: it ends, and this program tells of it instead of dying first.
pub(crate) fn watch_for_interrupts() -> Result<()> {
    ctrlc::set_handler(|| STOP.store(true, Ordering::Relaxed)).context("cannot watch for Ctrl-C")
}

/// Whether Ctrl-C was pressed.
pub(crate) fn interrupted() -> bool {
    STOP.load(Ordering::Relaxed)
}

/// Runs a command whose output the user sees.
pub(crate) fn run(command: &mut Command) -> Result<()> {
    let status = command.status().with_context(|| cannot_start(command))?;
    if !status.success() || interrupted() {
        bail!("`{}` failed: {status}", line(command));
    }
    Ok(())
}

/// Runs a command for what it prints.
pub(crate) fn read(command: &mut Command) -> Result<String> {
    let output = command.stderr(Stdio::inherit()).output().with_context(|| cannot_start(command))?;
    if !output.status.success() {
        bail!("`{}` failed: {}", line(command), output.status);
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// Runs a command whose output the user sees as it comes; what it printed.
pub(crate) fn watch(command: &mut Command) -> Result<String> {
    let mut child = command.stdout(Stdio::piped()).spawn().with_context(|| cannot_start(command))?;
    let mut text = String::new();
    for line in child.stdout.take().into_iter().flat_map(|output| BufReader::new(output).lines()) {
        let line = line.with_context(|| format!("`{}` cannot be read", self::line(command)))?;
        println!("{line}");
        text += &line;
        text.push('\n');
    }
    let status = child.wait()?;
    if !status.success() || interrupted() {
        bail!("`{}` failed: {status}", self::line(command));
    }
    Ok(text)
}

/// Runs a command silently; `None` where it is missing or fails.
pub(crate) fn probe(command: &mut Command) -> Option<String> {
    let Output { status, stdout, .. } = command.stdin(Stdio::null()).output().ok()?;
    status.success().then(|| String::from_utf8_lossy(&stdout).into_owned())
}

/// Runs this command again, in a program that is built with the feature `probe`, and ends as that one ends: it has told what was wrong.
#[cfg(not(feature = "probe"))]
pub(crate) fn with_probe() -> Result<std::convert::Infallible> {
    println!("builds the part that talks to debug probes");
    let mut command = crate::workspace::cargo();
    command.args(["run", "--quiet", "--package", "xtask", "--features", "probe", "--"]);
    // Paths on the command line are relative to where the user is.
    command.args(std::env::args_os().skip(1)).current_dir(std::env::current_dir()?);
    let status = command.status().with_context(|| cannot_start(&command))?;
    std::process::exit(status.code().unwrap_or(i32::from(INTERRUPTED)))
}

/// A command as one would type it.
pub(crate) fn line(command: &Command) -> String {
    let program = Path::new(command.get_program()).file_name().unwrap_or_default();
    let words = std::iter::once(program).chain(command.get_args());
    words.map(|word| word.to_string_lossy()).collect::<Vec<_>>().join(" ")
}

fn cannot_start(command: &Command) -> String {
    format!("cannot start `{}`", command.get_program().to_string_lossy())
}
