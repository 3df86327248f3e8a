//! Packages of Debian and its kin.

use std::path::PathBuf;
use std::process::Command;

use anyhow::{Result, bail};

use crate::process;

/// Installs packages where that is allowed.
///
/// # Errors
/// Says what the user may run instead.
pub(super) fn install(packages: &[&str]) -> Result<()> {
    let list = packages.join(" ");
    if process::probe(Command::new("apt-get").arg("--version")).is_none() {
        bail!(
            "there is no apt-get here: install what Debian calls {list} by this system's own means, then run this again"
        );
    }
    if process::probe(Command::new("id").arg("-u")).as_deref().map(str::trim) != Some("0") {
        bail!("only root may install packages: run `sudo apt-get install {list}`, then this again");
    }
    println!("{:<20} installs Debian's {list}", "");
    if !apt_get(&install_words(packages)) {
        // The lists of packages may be old or absent.
        if !apt_get(&["update"]) || !apt_get(&install_words(packages)) {
            bail!("`apt-get install {list}` failed: its messages are above");
        }
    }
    Ok(())
}

fn install_words<'a>(packages: &[&'a str]) -> Vec<&'a str> {
    ["install", "--yes", "--no-install-recommends"].into_iter().chain(packages.iter().copied()).collect()
}

fn apt_get(words: &[&str]) -> bool {
    let mut command = Command::new("apt-get");
    command.arg("-qq").args(words).env("DEBIAN_FRONTEND", "noninteractive");
    process::run(&mut command).is_ok()
}

/// A file of an installed package, the first whose path ends so.
pub(super) fn file_of(package: &str, end: &str) -> Option<PathBuf> {
    let files = process::probe(Command::new("dpkg").args(["-L", package]))?;
    files.lines().find(|path| path.ends_with(end)).map(PathBuf::from).filter(|path| path.exists())
}
