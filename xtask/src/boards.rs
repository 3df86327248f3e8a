//! The boards that firmware is built for: one table, which `memory.x` of every board and probe-rs's registry of chips are
//! held to.

use anyhow::{Context, Result, bail};
use clap::builder::PossibleValuesParser;
use stepshift_runtime::Backend;

use crate::table;

/// A board: a package of the workspace in `boards/`.
#[derive(Debug)]
pub(crate) struct Board {
    /// Its name on the command line, and of its package.
    pub(crate) name: &'static str,
    /// Core, as people call it.
    pub(crate) core: &'static str,
    /// Rust's target.
    pub(crate) target: &'static str,
    /// The kernels that its core deserves.
    pub(crate) backend: Backend,
    /// Flash for code, flash for a model, RAM.
    pub(crate) memory: Memory,
    /// QEMU's machine, where there is one.
    pub(crate) machine: Option<&'static str>,
    /// What probe-rs calls the chip, of real hardware.
    pub(crate) chip: Option<&'static str>,
    /// Bytes of each buffer of the programs that read files of the host: for a model, for vectors, for an arena. 0 for a
    /// board that has none of these programs.
    pub(crate) buffer_bytes: u64,
}

/// Where things lie.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Memory {
    /// Flash for code, from the first byte that a program may use.
    pub(crate) flash: Region,
    /// Flash for a model.
    pub(crate) model: Region,
    /// RAM for variables, arena and stack.
    pub(crate) ram: Region,
}

/// Addresses that lie side by side.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Region {
    /// The first.
    pub(crate) start: u64,
    /// How many.
    pub(crate) bytes: u64,
}

/// The board that commands take where none is named.
pub(crate) const DEFAULT: &str = "qemu-m4";

const KIB: u64 = 1 << 10;
const MIB: u64 = 1 << 20;

/// Flash for code, for a model, and RAM: each by its start and its bytes.
const fn memory(flash: (u64, u64), model: (u64, u64), ram: (u64, u64)) -> Memory {
    const fn region((start, bytes): (u64, u64)) -> Region {
        Region { start, bytes }
    }
    Memory { flash: region(flash), model: region(model), ram: region(ram) }
}

/// The memory of Arm's MPS2 boards.
const MPS2: Memory = memory((0, 3 * MIB), (0x0030_0000, MIB), (0x2000_0000, 4 * MIB));

/// Every board.
pub(crate) static BOARDS: [Board; 15] = [
    Board {
        name: "qemu-m0",
        core: "Cortex-M0",
        target: "thumbv6m-none-eabi",
        backend: Backend::V6m,
        memory: memory((0, 184 * KIB), (0x0002_E000, 72 * KIB), (0x2000_0000, 16 * KIB)),
        machine: Some("microbit"),
        chip: None,
        // 16 KiB of RAM in all.
        buffer_bytes: 3 * KIB,
    },
    Board {
        name: "qemu-m3",
        core: "Cortex-M3",
        target: "thumbv7m-none-eabi",
        backend: Backend::Portable,
        memory: MPS2,
        machine: Some("mps2-an385"),
        chip: None,
        buffer_bytes: MIB,
    },
    Board {
        name: "qemu-m4",
        core: "Cortex-M4",
        target: "thumbv7em-none-eabihf",
        backend: Backend::Dsp,
        memory: MPS2,
        machine: Some("mps2-an386"),
        chip: None,
        buffer_bytes: MIB,
    },
    Board {
        name: "qemu-m7",
        core: "Cortex-M7",
        target: "thumbv7em-none-eabihf",
        backend: Backend::Dsp,
        memory: MPS2,
        machine: Some("mps2-an500"),
        chip: None,
        buffer_bytes: MIB,
    },
    Board {
        name: "qemu-m33",
        core: "Cortex-M33",
        target: "thumbv8m.main-none-eabi",
        backend: Backend::Dsp,
        memory: memory((0x1000_0000, 3 * MIB), (0x1030_0000, MIB), (0x3800_0000, 4 * MIB)),
        machine: Some("mps2-an505"),
        chip: None,
        buffer_bytes: MIB,
    },
    Board {
        name: "qemu-m55",
        core: "Cortex-M55",
        target: "thumbv8m.main-none-eabi",
        backend: Backend::Mve,
        memory: memory((0, 512 * KIB), (0x0100_0000, MIB), (0x2000_0000, 512 * KIB)),
        machine: Some("mps3-an547"),
        chip: None,
        buffer_bytes: 128 * KIB,
    },
    Board {
        name: "lm3s6965",
        core: "Cortex-M3",
        target: "thumbv7m-none-eabi",
        backend: Backend::Portable,
        memory: memory((0, 160 * KIB), (0x0002_8000, 96 * KIB), (0x2000_0000, 64 * KIB)),
        machine: Some("lm3s6965evb"),
        chip: None,
        buffer_bytes: 0,
    },
    Board {
        name: "nrf52840-dk",
        core: "Cortex-M4F",
        target: "thumbv7em-none-eabihf",
        backend: Backend::Dsp,
        memory: memory((0, 256 * KIB), (0x0004_0000, 768 * KIB), (0x2000_0000, 256 * KIB)),
        machine: None,
        chip: Some("nRF52840_xxAA"),
        buffer_bytes: 0,
    },
    Board {
        name: "microbit-v2",
        core: "Cortex-M4F",
        target: "thumbv7em-none-eabihf",
        backend: Backend::Dsp,
        memory: memory((0, 192 * KIB), (0x0003_0000, 320 * KIB), (0x2000_0000, 128 * KIB)),
        machine: None,
        chip: Some("nRF52833_xxAA"),
        buffer_bytes: 0,
    },
    Board {
        name: "nucleo-f411re",
        core: "Cortex-M4F",
        target: "thumbv7em-none-eabihf",
        backend: Backend::Dsp,
        memory: memory((0x0800_0000, 256 * KIB), (0x0804_0000, 256 * KIB), (0x2000_0000, 128 * KIB)),
        machine: None,
        chip: Some("STM32F411RETx"),
        buffer_bytes: 0,
    },
    Board {
        name: "stm32f405",
        core: "Cortex-M4F",
        target: "thumbv7em-none-eabihf",
        backend: Backend::Dsp,
        memory: memory((0x0800_0000, 256 * KIB), (0x0804_0000, 768 * KIB), (0x2000_0000, 128 * KIB)),
        machine: Some("netduinoplus2"),
        chip: Some("STM32F405RGTx"),
        buffer_bytes: 0,
    },
    Board {
        name: "nucleo-h743zi",
        core: "Cortex-M7",
        target: "thumbv7em-none-eabihf",
        backend: Backend::Dsp,
        memory: memory((0x0800_0000, 256 * KIB), (0x0804_0000, 1792 * KIB), (0x2400_0000, 512 * KIB)),
        machine: None,
        chip: Some("STM32H743ZITx"),
        buffer_bytes: 0,
    },
    Board {
        name: "b-l475e-iot01a",
        core: "Cortex-M4F",
        target: "thumbv7em-none-eabihf",
        backend: Backend::Dsp,
        memory: memory((0x0800_0000, 256 * KIB), (0x0804_0000, 768 * KIB), (0x2000_0000, 96 * KIB)),
        machine: None,
        chip: Some("STM32L475VGTx"),
        buffer_bytes: 0,
    },
    Board {
        name: "pico",
        core: "Cortex-M0+",
        target: "thumbv6m-none-eabi",
        backend: Backend::V6m,
        // The first 256 bytes of flash are the second boot stage.
        memory: memory((0x1000_0100, 256 * KIB - 256), (0x1004_0000, 1792 * KIB), (0x2000_0000, 264 * KIB)),
        machine: None,
        chip: Some("RP2040"),
        buffer_bytes: 0,
    },
    Board {
        name: "pico2",
        core: "Cortex-M33",
        target: "thumbv8m.main-none-eabi",
        backend: Backend::Dsp,
        memory: memory((0x1000_0000, 256 * KIB), (0x1004_0000, 3840 * KIB), (0x2000_0000, 520 * KIB)),
        machine: None,
        chip: Some("RP235x"),
        buffer_bytes: 0,
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

    /// Has the programs that measure and test in QEMU: they read files of the host.
    pub(crate) const fn is_emulator(&self) -> bool {
        self.buffer_bytes > 0
    }

    /// QEMU's machine.
    ///
    /// # Errors
    /// Where QEMU has none like this board.
    pub(crate) fn machine(&self) -> Result<&'static str> {
        self.machine.with_context(|| format!("QEMU has no machine like {}", self.name))
    }
}

/// `cargo xtask boards`: prints the table.
pub(crate) fn print() {
    let header = ["board", "core", "target", "kernels", "flash", "model", "RAM", "QEMU machine", "chip"];
    let mut rows = vec![header.map(str::to_owned)];
    for board in &BOARDS {
        let Memory { flash, model, ram } = board.memory;
        let [flash, model, ram] = [flash, model, ram].map(|region| format!("{} KiB", region.bytes.div_ceil(KIB)));
        let text = [board.name, board.core, board.target, board.backend.name()].map(str::to_owned);
        let [name, core, target, backend] = text;
        let [machine, chip] = [board.machine, board.chip].map(|name| name.unwrap_or("-").to_owned());
        rows.push([name, core, target, backend, flash, model, ram, machine, chip]);
    }
    table::print(&rows);
}

/// The boards that have the programs that measure and test in QEMU.
pub(crate) fn emulators() -> impl Iterator<Item = &'static Board> {
    BOARDS.iter().filter(|board| board.is_emulator())
}

/// Accepts the names of emulated boards; clap suggests the nearest for others.
pub(crate) fn names() -> PossibleValuesParser {
    PossibleValuesParser::new(emulators().map(|board| board.name))
}

/// As [`names`], and `all`.
pub(crate) fn names_and_all() -> PossibleValuesParser {
    PossibleValuesParser::new(emulators().map(|board| board.name).chain(["all"]))
}

/// The board of a name.
///
/// # Errors
/// Names the nearest board.
pub(crate) fn find(name: &str) -> Result<&'static Board> {
    if let Some(board) = BOARDS.iter().find(|board| board.name == name) {
        return Ok(board);
    }
    let name = name.to_lowercase();
    let distance = |board: &&Board| (!board.name.contains(&name), strsim::damerau_levenshtein(board.name, &name));
    let nearest = BOARDS.iter().min_by_key(distance).map_or("", |board| board.name);
    let names: Vec<_> = BOARDS.iter().map(|board| board.name).collect();
    bail!("there is no board {name}: did you mean {nearest}? There are {}", names.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::linker_script;
    use crate::workspace::root;

    #[test]
    fn a_wrong_name_gets_the_nearest_one() {
        for (name, nearest) in [("nrf52840dk", "nrf52840-dk"), ("PICO-2", "pico2"), ("f411re", "nucleo-f411re")] {
            let error = find(name).unwrap_err().to_string();
            assert!(error.contains(&format!("did you mean {nearest}?")), "{error}");
        }
    }

    #[test]
    fn every_linker_script_has_the_memory_of_the_table() {
        for board in &BOARDS {
            let path = root().join("boards").join(board.name).join("memory.x");
            let script = std::fs::read_to_string(&path).unwrap();
            let region = |name| linker_script::region(&script, name).unwrap_or_else(|| panic!("{name} in {path:?}"));
            let Memory { flash, model, ram } = board.memory;
            assert_eq!([region("FLASH"), region("MODEL"), region("RAM")], [flash, model, ram], "{}", board.name);
        }
    }

    /// `cargo build` in a board's folder is for its core, and `cargo run` for its chip.
    #[test]
    fn every_folder_has_the_target_the_kernels_and_the_chip_of_the_table() {
        for board in &BOARDS {
            let path = root().join("boards").join(board.name).join(".cargo/config.toml");
            let config: toml::Table = toml::from_str(&std::fs::read_to_string(&path).unwrap()).unwrap();
            assert_eq!(config["build"]["target"].as_str(), Some(board.target), "{}", board.name);
            let target = config.get("target").and_then(|targets| targets.get(board.target));
            let runner = target.and_then(|target| target.get("runner")?.as_str());
            assert_eq!(runner.and_then(|runner| runner.strip_prefix("probe-rs run --chip ")), board.chip);
            // Of the other targets, the name alone tells the extensions of the core.
            let is_v8m = board.target.starts_with("thumbv8m.main");
            let backend = config.get("env").and_then(|variables| variables["STEPSHIFT_BACKEND"].as_str());
            assert_eq!(backend, is_v8m.then(|| board.backend.name()), "{}", board.name);
            assert_eq!(target.is_some_and(|target| target.get("rustflags").is_some()), is_v8m, "{}", board.name);
        }
    }

    #[test]
    fn code_and_model_share_no_byte() {
        for board in &BOARDS {
            let Memory { flash, model, .. } = board.memory;
            assert!(flash.start + flash.bytes <= model.start || model.start + model.bytes <= flash.start);
        }
    }

    #[test]
    fn every_board_is_a_folder_and_every_folder_a_board() {
        let folders = std::fs::read_dir(root().join("boards")).unwrap().flatten();
        let folders = folders.filter(|entry| entry.path().join("memory.x").exists());
        let mut folders: Vec<_> = folders.map(|entry| entry.file_name().into_string().unwrap()).collect();
        let mut names: Vec<_> = BOARDS.iter().map(|board| board.name.to_owned()).collect();
        folders.sort();
        names.sort();
        assert_eq!(folders, names);
    }
}
