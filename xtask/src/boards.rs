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
    /// Bytes of each buffer of the firmware: for a model, for vectors, for an arena.
    pub(crate) buffer_bytes: u64,
}

/// The board that commands take where none is named.
pub(crate) const DEFAULT: &str = "qemu-m4";

/// Every board.
pub(crate) static BOARDS: [Board; 6] = [
    Board {
        name: "qemu-m0",
        core: "Cortex-M0",
        target: "thumbv6m-none-eabi",
        machine: "microbit",
        // 16 KiB of RAM in all.
        buffer_bytes: 3 << 10,
    },
    Board {
        name: "qemu-m3",
        core: "Cortex-M3",
        target: "thumbv7m-none-eabi",
        machine: "mps2-an385",
        buffer_bytes: 1 << 20,
    },
    Board {
        name: "qemu-m4",
        core: "Cortex-M4",
        target: "thumbv7em-none-eabihf",
        machine: "mps2-an386",
        buffer_bytes: 1 << 20,
    },
    Board {
        name: "qemu-m7",
        core: "Cortex-M7",
        target: "thumbv7em-none-eabihf",
        machine: "mps2-an500",
        buffer_bytes: 1 << 20,
    },
    Board {
        name: "qemu-m33",
        core: "Cortex-M33",
        target: "thumbv8m.main-none-eabi",
        machine: "mps2-an505",
        buffer_bytes: 1 << 20,
    },
    Board {
        name: "qemu-m55",
        core: "Cortex-M55",
        target: "thumbv8m.main-none-eabi",
        machine: "mps3-an547",
        buffer_bytes: 128 << 10,
    },
];

/// A target without a board: the runtime builds for it.
pub(crate) const RISC_V: &str = "riscv32imac-unknown-none-elf";

/// Every target that something is built for.
pub(crate) fn targets() -> Vec<&'static str> {
    let mut targets: Vec<_> = BOARDS.iter().map(|board| board.target).chain([RISC_V]).collect();
    targets.sort_unstable();
    targets.dedup();
    targets
}

impl Board {
    /// Bytes of the buffer for a list of paths.
    pub(crate) const fn list_bytes(&self) -> u64 {
        self.buffer_bytes / 4
    }
}

/// Accepts the boards' names; clap suggests the nearest for others.
pub(crate) fn names() -> PossibleValuesParser {
    PossibleValuesParser::new(BOARDS.each_ref().map(|board| board.name))
}

/// As [`names`], and `all`.
pub(crate) fn names_and_all() -> PossibleValuesParser {
    PossibleValuesParser::new(BOARDS.iter().map(|board| board.name).chain(["all"]))
}

/// The board of a name.
pub(crate) fn find(name: &str) -> Result<&'static Board> {
    BOARDS.iter().find(|board| board.name == name).with_context(|| format!("there is no board {name}"))
}
