//! Virtual environments of Python.

use std::path::Path;
use std::process::Command;

use anyhow::Result;

use super::debian;
use crate::process;

/// Makes one, or keeps it.
///
/// # Errors
/// Where there is no Python 3, or not its module `venv`.
pub(super) fn environment(folder: &Path) -> Result<()> {
    let make = || process::run(Command::new("python3").args(["-m", "venv"]).arg(folder));
    // Debian has the module in a package of its own.
    make().or_else(|_| debian::install(&["python3-venv"]).and_then(|()| make()))
}
