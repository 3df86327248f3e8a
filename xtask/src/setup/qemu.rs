//! QEMU for Arm.

use std::process::Command;

use anyhow::Result;

use super::debian;
use crate::process;
use crate::qemu::PROGRAM;

pub(super) fn find() -> Option<String> {
    let version = process::probe(Command::new(PROGRAM).arg("--version"))?;
    version.lines().next().map(str::to_owned)
}

pub(super) fn install() -> Result<()> {
    debian::install(&["qemu-system-arm"])
}
