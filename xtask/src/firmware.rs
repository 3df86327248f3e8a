//! Builds firmware.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use stepshift_runtime::Backend;

use crate::boards::Board;
use crate::process;
use crate::setup::{self, Report, Tool, toolchain};
use crate::workspace::{root, target};

/// Firmware that embeds a model and counts its instructions.
pub(crate) const INFER: &str = "infer";

/// The least firmware around a model, which it trusts.
pub(crate) const EMBEDDED: &str = "embedded";

/// Firmware that tests the embedded model itself, which it trusts.
pub(crate) const TRUSTING: &str = "trusting";

/// Firmware that does nothing.
pub(crate) const EMPTY: &str = "empty";

/// Where a firmware begins to run Rust.
pub(crate) const ENTRY: &str = "main";

/// Firmware that counts the instructions of models read from the host.
pub(crate) const BENCH: &str = "bench";

/// Firmware that checks models read from the host.
pub(crate) const CONFORMANCE: &str = "conformance";

/// Firmware that computes features of a sound.
pub(crate) const FRONT_END: &str = "front_end";

/// The firmware of every board: it loads the model from a region of flash of its own.
pub(crate) const DEVICE: &str = "device";

/// What a firmware talks to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Host {
    /// A debug probe.
    Probe,
    /// QEMU, by semihosting.
    Qemu,
}

impl Host {
    /// What the firmware of a board talks to: real ones to a probe.
    pub(crate) const fn of(board: &Board) -> Self {
        if board.chip.is_some() { Self::Probe } else { Self::Qemu }
    }
}

/// The least level of lines that firmware logs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum LogLevel {
    /// A line for every layer
    Trace,
    /// A line for every inference
    Info,
    /// What fails
    Error,
}

impl LogLevel {
    /// As defmt's macros are told while firmware is compiled.
    const fn name(self) -> &'static str {
        match self {
            Self::Trace => "trace",
            Self::Info => "info",
            Self::Error => "error",
        }
    }
}

/// Firmware that links only if no panic can be reached.
pub(crate) const PANIC_FREE: &str = "panic_free";

/// Builds one program of a board; the path of its ELF file.
///
/// # Errors
/// Where there is no toolchain, or cargo fails: its messages are shown.
pub(crate) fn build(board: &Board, program: &str, model: Option<&Path>) -> Result<PathBuf> {
    if toolchain::find(board.target).is_none() {
        setup::ensure(&[Tool::Toolchain], Report::Missing)?;
    }
    let elf = elf(board, program);
    process::run(command(board, program, model)?.arg("--quiet"))
        .with_context(|| format!("the firmware {program} of {} does not build", board.name))?;
    Ok(elf)
}

/// Builds [`EMBEDDED`] with the checks of the model; the path of its ELF file, which replaces the one without.
///
/// # Errors
/// As [`build`].
pub(crate) fn build_with_loader(board: &Board, model: &Path) -> Result<PathBuf> {
    let mut command = command(board, EMBEDDED, Some(model))?;
    process::run(command.args(["--quiet", "--features", "loader"]))
        .with_context(|| format!("the firmware {EMBEDDED} of {} does not build", board.name))?;
    Ok(elf(board, EMBEDDED))
}

/// Builds the firmware [`DEVICE`] of a board; the path of its ELF file.
///
/// # Errors
/// As [`build`]; the linker says by how much the code is too long.
pub(crate) fn build_device(board: &Board, host: Host, level: LogLevel) -> Result<PathBuf> {
    if toolchain::find(board.target).is_none() {
        setup::ensure(&[Tool::Toolchain], Report::Missing)?;
    }
    let mut command = command(board, DEVICE, None)?;
    command.env("DEFMT_LOG", level.name());
    if host == Host::Qemu && board.chip.is_some() {
        command.arg("--no-default-features");
    }
    process::run(command.arg("--quiet")).with_context(|| format!("the firmware of {} does not build", board.name))?;
    Ok(elf(board, DEVICE))
}

/// Builds an application of `boards/examples`; the path of its ELF file.
///
/// # Errors
/// As [`build`].
pub(crate) fn build_example(board: &Board, name: &str) -> Result<PathBuf> {
    let toolchain = toolchain::find(board.target).context("no toolchain for this board: run `cargo xtask setup`")?;
    let mut command = toolchain.cargo("build", board.target);
    command.current_dir(root().join("boards")).env("CARGO_TARGET_DIR", target("boards"));
    command.args(["--quiet", "--package", "examples", "--bin", name]);
    process::run(&mut command).with_context(|| format!("the example {name} does not build"))?;
    Ok(elf(board, name))
}

/// The cargo command that builds one program of a board.
pub(crate) fn command(board: &Board, program: &str, model: Option<&Path>) -> Result<Command> {
    let toolchain = toolchain::find(board.target).context("no toolchain for this board: run `cargo xtask setup`")?;
    let mut command = toolchain.cargo("build", board.target);
    command.current_dir(root().join("boards")).env("CARGO_TARGET_DIR", folder(board));
    command.args(["--package", board.name, "--bin", program]).env_remove("STEPSHIFT_BACKEND");
    if let Some(core) = extended_core(board) {
        // Beside the flags of all boards, the linker script among them.
        let flags = format!("target.'{}'.rustflags=['-C', 'target-cpu={core}']", board.target);
        command.args(["--config", &flags]).env("STEPSHIFT_BACKEND", board.backend.name());
    }
    command.env("STEPSHIFT_BUFFER_BYTES", board.buffer_bytes.to_string()).env_remove("STEPSHIFT_MODEL");
    if let Some(model) = model {
        command.env("STEPSHIFT_MODEL", std::path::absolute(model)?);
    }
    Ok(command)
}

/// The core that a board is built for, where its target does not tell the core's extensions: `thumbv8m.main` has none.
fn extended_core(board: &Board) -> Option<&'static str> {
    match (board.target, board.backend) {
        ("thumbv8m.main-none-eabi", Backend::Dsp) => Some("cortex-m33"),
        ("thumbv8m.main-none-eabi", Backend::Mve) => Some("cortex-m55"),
        _ => None,
    }
}

/// Where a board's firmware is built: apart where it is for one core, so that boards of one target do not replace each
/// other's libraries.
pub(crate) fn folder(board: &Board) -> PathBuf {
    extended_core(board).map_or_else(|| target("boards"), |core| target(&format!("boards-{core}")))
}

fn elf(board: &Board, program: &str) -> PathBuf {
    folder(board).join(board.target).join("release").join(program)
}

/// Builds the runtime by itself for a target without a board.
pub(crate) fn build_runtime(target_name: &str) -> Result<()> {
    let toolchain = toolchain::find(target_name).with_context(|| format!("no toolchain for {target_name}"))?;
    let mut command = toolchain.cargo("build", target_name);
    command.current_dir(root()).env("CARGO_TARGET_DIR", target("boards"));
    process::run(command.args(["--quiet", "--package", "stepshift-runtime", "--features", "micromath"]))
}
