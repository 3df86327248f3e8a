//! A Rust toolchain for a Cortex-M target.

use std::fmt;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Result;

use super::debian;
use crate::process;

/// Debian's own pair of rustc and cargo, the sources of `core`, and a linker.
const DEBIAN_PACKAGES: [&str; 4] = ["rustc-web", "cargo-web", "rust-web-src", "lld"];

/// How firmware is built.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Toolchain {
    /// The active toolchain has `core` for the target.
    Target,
    /// The active toolchain has the sources of `core`, which are built along.
    Source,
    /// Debian's toolchain with the sources of `core`, which are built along.
    Debian {
        /// Its cargo.
        cargo: PathBuf,
        /// Its rustc.
        rustc: PathBuf,
    },
}

impl fmt::Display for Toolchain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Target => write!(f, "the active toolchain has the target"),
            Self::Source => write!(f, "the active toolchain, with core built from its sources"),
            Self::Debian { rustc, .. } => write!(f, "Debian's {}, with core built from its sources", rustc.display()),
        }
    }
}

/// The first that serves: one with the target, one with the sources of `core`, Debian's.
pub(crate) fn find(target: &str) -> Option<Toolchain> {
    let active = sysroot(Path::new("rustc"));
    if active.as_deref().is_some_and(|sysroot| has_target(sysroot, target)) {
        return Some(Toolchain::Target);
    }
    if active.as_deref().is_some_and(has_source) {
        return Some(Toolchain::Source);
    }
    let rustc = debian::file_of("rustc-web", "/bin/rustc")?;
    let cargo = debian::file_of("cargo-web", "/bin/cargo")?;
    let linker = process::probe(Command::new("ld.lld").arg("--version")).is_some();
    (linker && has_source(&sysroot(&rustc)?)).then_some(Toolchain::Debian { cargo, rustc })
}

/// Tries rustup, then Debian's packages.
pub(super) fn install(targets: &[&str]) -> Result<()> {
    println!("{:<20} runs `rustup target add {}`", "", targets.join(" "));
    if process::run(Command::new("rustup").args(["target", "add"]).args(targets)).is_ok() {
        return Ok(());
    }
    println!("{:<20} rustup cannot download the targets: takes a toolchain that carries the sources of core", "");
    debian::install(&DEBIAN_PACKAGES)
}

fn sysroot(rustc: &Path) -> Option<PathBuf> {
    process::probe(Command::new(rustc).args(["--print", "sysroot"])).map(|path| PathBuf::from(path.trim()))
}

fn has_target(sysroot: &Path, target: &str) -> bool {
    let libraries = std::fs::read_dir(sysroot.join("lib/rustlib").join(target).join("lib"));
    let mut names = libraries.into_iter().flatten().flatten().map(|entry| entry.file_name());
    names.any(|name| name.to_string_lossy().starts_with("libcore-"))
}

fn has_source(sysroot: &Path) -> bool {
    sysroot.join("lib/rustlib/src/rust/library/core/Cargo.toml").exists()
}

impl Toolchain {
    /// A cargo command for the target; `--target` is among its words.
    pub(crate) fn cargo(&self, word: &str, target: &str) -> Command {
        let mut command = match self {
            Self::Target | Self::Source => Command::new("cargo"),
            Self::Debian { cargo, rustc } => {
                let mut command = Command::new(cargo);
                let linker = format!("CARGO_TARGET_{}_LINKER", target.to_uppercase().replace(['-', '.'], "_"));
                command.env("RUSTC", rustc).env(linker, "ld.lld").env_remove("RUSTUP_TOOLCHAIN");
                command
            }
        };
        // Flags in the environment would replace those of the boards, the linker script among them.
        command.env_remove("RUSTFLAGS").env_remove("CARGO_ENCODED_RUSTFLAGS");
        command.args([word, "--release", "--target", target]);
        if *self != Self::Target {
            command.arg("-Zbuild-std=core").env("RUSTC_BOOTSTRAP", "1");
        }
        command
    }
}
