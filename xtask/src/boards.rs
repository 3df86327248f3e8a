//! The boards that firmware is built for.

use anyhow::{Context, Result};
use clap::builder::PossibleValuesParser;

/// A board: a package of the workspace in `boards/`, and the machine that emulates it.
#[derive(Debug)]
pub(crate) struct Board {
    /// Its name on the command line, and of its package.
    pub(crate) name: &'static str,
    /// Core, as people call it.
    pub(crate) core: &'static str,
    /// Rust's target.
    pub(crate) target: &'static str,
    /// QEMU's machine.
    pub(crate) machine: &'static str,
}

/// Every board; the first is the default.
pub(crate) static BOARDS: [Board; 1] =
    [Board { name: "qemu-m4", core: "Cortex-M4", target: "thumbv7em-none-eabihf", machine: "mps2-an386" }];

/// Accepts the boards' names; clap suggests the nearest for others.
pub(crate) fn names() -> PossibleValuesParser {
    PossibleValuesParser::new(BOARDS.each_ref().map(|board| board.name))
}

/// The board of a name.
pub(crate) fn find(name: &str) -> Result<&'static Board> {
    BOARDS.iter().find(|board| board.name == name).with_context(|| format!("there is no board {name}"))
}
