//! A browser without a window, for the test that opens a report.

use std::process::Command;

use anyhow::Result;

use super::debian;
use crate::process;

pub(super) fn find() -> Option<String> {
    let version = process::probe(Command::new("chromium").arg("--version"))?;
    Some(version.trim().to_owned())
}

pub(super) fn install() -> Result<()> {
    debian::install(&["chromium"])
}
