//! One model by one library on the emulated Cortex-M4: built alike, run, measured.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};
use stepshift_runtime::Backend;
use stepshift_trainer::export::Prefer;

use super::model::PeerModel;
use crate::boards::{self, Board};
use crate::setup::toolchain;
use crate::workspace::{root, target};
use crate::{elf, process, qemu, stack};

/// The program that infers nothing.
const NOTHING: &str = "nothing";

/// What a model is run by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Library {
    /// This repository, with kernels and what they spare.
    Stepshift(Backend, Prefer),
    /// The crate microflow.
    Microflow,
    /// The crate embedded-nn.
    EmbeddedNn,
}

/// What one model takes by one library.
#[derive(Debug)]
pub(super) struct Measured {
    /// Of one inference.
    pub(super) instructions: u64,
    /// Code, constants and weights, without what every program has around its model.
    pub(super) flash: u64,
    /// Variables in the same way, the stack of one inference, and what it is handed and hands back.
    pub(super) ram: u64,
    /// What it gave.
    pub(super) codes: Vec<i8>,
}

/// What a firmware prints.
#[derive(Debug, PartialEq, Eq)]
struct Printed {
    instructions: u64,
    handed: u64,
    codes: Vec<i8>,
}

impl Library {
    /// The columns of the tables.
    pub(super) const ALL: [Self; 5] = [
        Self::Stepshift(Backend::Dsp, Prefer::Memory),
        Self::Stepshift(Backend::Dsp, Prefer::Speed),
        Self::Stepshift(Backend::Portable, Prefer::Memory),
        Self::Microflow,
        Self::EmbeddedNn,
    ];

    /// A column's head.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Stepshift(Backend::Portable, _) => "portable",
            Self::Stepshift(_, Prefer::Memory) => "stepshift",
            Self::Stepshift(_, Prefer::Speed | Prefer::SpeedWithin(_)) => "for speed",
            Self::Microflow => "microflow",
            Self::EmbeddedNn => "embedded-nn",
        }
    }

    /// Rounds as TensorFlow Lite's reference kernels do; microflow goes through `f32`.
    const fn is_exact(self) -> bool {
        !matches!(self, Self::Microflow)
    }

    /// Its program, which is the name of its feature too.
    const fn program(self) -> &'static str {
        match self {
            Self::Stepshift(..) => "stepshift",
            Self::Microflow => "microflow",
            Self::EmbeddedNn => "embedded-nn",
        }
    }

    /// Builds the model into a firmware and runs it; `None` where the library lacks an operator, which is told.
    ///
    /// # Errors
    /// Where the firmware does not build for another reason, does not end well, or gives other codes than LiteRT's reference
    /// kernels though it rounds alike.
    pub(super) fn measure(self, model: &PeerModel, opt_level: &str) -> Result<Option<Measured>> {
        let board = boards::find(boards::DEFAULT)?;
        let mut command = command(board, self.program(), model, opt_level)?;
        command.args(["--features", self.program()]);
        if let Self::Stepshift(backend, prefer) = self {
            command.env("STEPSHIFT_MODEL", model.export(backend, prefer)?);
        }
        let output = command.output().with_context(|| format!("cannot start `{}`", process::line(&command)))?;
        let messages = String::from_utf8_lossy(&output.stderr);
        if let Some(reason) = messages.lines().find(|line| line.contains("unsupported operator")) {
            println!("{}: {}: {}", model.name, self.name(), reason.trim_start_matches("error: "));
            return Ok(None);
        }
        ensure!(output.status.success(), "{}: {} does not build:\n{messages}", model.name, self.name());
        let (elf, empty) = (path(board, self.program()), path(board, NOTHING));
        let (sizes, around) = (elf::sizes(&elf)?, elf::sizes(&empty)?);
        let entry = format!("{}::infer", self.program().replace('-', "_"));
        let printed = run(board, &elf).with_context(|| format!("{}: {}", model.name, self.name()))?;
        ensure!(
            printed.codes == model.expected || !self.is_exact(),
            "{}: {} gives other codes than LiteRT's reference kernels",
            model.name,
            self.name()
        );
        let variables = sizes.variables.saturating_sub(around.variables);
        Ok(Some(Measured {
            instructions: printed.instructions,
            flash: sizes.flash().saturating_sub(around.flash()),
            ram: variables + stack::deepest(&elf, &entry)?.bytes + printed.handed,
            codes: printed.codes,
        }))
    }
}

/// Builds what every program has around its model.
///
/// # Errors
/// Where there is no toolchain, or cargo fails.
pub(super) fn build_nothing(model: &PeerModel, opt_level: &str) -> Result<()> {
    process::run(&mut command(boards::find(boards::DEFAULT)?, NOTHING, model, opt_level)?)
}

fn command(board: &Board, program: &str, model: &PeerModel, opt_level: &str) -> Result<Command> {
    let toolchain = toolchain::find(board.target).context("no toolchain for this board: run `cargo xtask setup`")?;
    let mut command = toolchain.cargo("build", board.target);
    command.current_dir(root().join("benches/peers")).env("CARGO_TARGET_DIR", target("peers-firmware"));
    command.args(["--quiet", "--locked", "--package", "stepshift-peers-firmware", "--bin", program]);
    command.env("STEPSHIFT_PEERS_MODEL", &model.path).env("CARGO_PROFILE_RELEASE_OPT_LEVEL", opt_level);
    Ok(command)
}

fn path(board: &Board, program: &str) -> PathBuf {
    target("peers-firmware").join(board.target).join("release").join(program)
}

fn run(board: &Board, elf: &Path) -> Result<Printed> {
    let outcome = qemu::run(board, elf, None)?;
    let printed = read(&outcome.text).filter(|_| outcome.success);
    printed.with_context(|| format!("the firmware failed; it printed:\n{}", outcome.text))
}

fn read(text: &str) -> Option<Printed> {
    let number = |name: &str| text.lines().find_map(|line| line.strip_prefix(name))?.parse().ok();
    let codes = text.lines().filter_map(|line| line.strip_prefix("codes ")).flat_map(|line| line.split(' '));
    let codes = codes.map(|code| code.parse().ok().map(u8::cast_signed)).collect::<Option<_>>()?;
    Some(Printed { instructions: number("instructions ")?, handed: number("handed ")?, codes })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_firmware_prints_is_read() {
        let printed = Printed { instructions: 1200, handed: 16, codes: vec![1, -1, -128] };
        assert_eq!(read("instructions 1200\nhanded 16\ncodes 1 255\ncodes 128\n"), Some(printed));
        assert_eq!(read("instructions 1200\nhanded 16\ncodes 1 256\n"), None);
        assert_eq!(read("panicked\n"), None);
    }
}
