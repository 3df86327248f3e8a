//! A C++ compiler, by the name that the crate `cc` uses.

use std::process::Command;

use anyhow::Result;

use super::debian;
use crate::process;

pub(super) fn find() -> Option<String> {
    let compiler = std::env::var("CXX").unwrap_or_else(|_| "c++".to_owned());
    let version = process::probe(Command::new(compiler).arg("--version"))?;
    version.lines().next().map(str::to_owned)
}

pub(super) fn install() -> Result<()> {
    debian::install(&["g++"])
}
