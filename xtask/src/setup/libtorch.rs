//! libtorch, as PyPI's `torch` carries it.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use super::python;
use crate::process;
use crate::workspace::{root, shown, target};

/// The version that the crate `tch` is made for.
const VERSION: &str = "2.11";

/// What is installed.
const PACKAGE: &str = "torch==2.11.0";

/// Without an NVIDIA GPU these are the only parts of CUDA that PyPI's build loads when it starts.
const CUDA_PARTS: [&str; 2] = ["nvidia-cuda-runtime", "nvidia-cuda-cupti"];

/// The folder named by LIBTORCH, which `.cargo/config.toml` sets to a link under `target/` unless the user did.
fn folder() -> PathBuf {
    let named = std::env::var_os("LIBTORCH").map(PathBuf::from);
    named.map_or_else(|| target("libtorch"), |path| root().join(path))
}

pub(super) fn find() -> Option<String> {
    let folder = folder();
    let version = version(&folder)?;
    version.starts_with(VERSION).then(|| format!("{}, version {version}", shown(&folder)))
}

fn version(folder: &Path) -> Option<String> {
    folder.join("lib").is_dir().then_some(())?;
    // LibTorch's own archives have `build-version`, Python's package has `version.py`.
    if let Ok(version) = std::fs::read_to_string(folder.join("build-version")) {
        return Some(version.trim().to_owned());
    }
    let text = std::fs::read_to_string(folder.join("version.py")).ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("__version__ = "))?;
    Some(line.trim_matches(['\'', '"']).to_owned())
}

pub(super) fn install() -> Result<()> {
    let (wanted, link) = (folder(), target("libtorch"));
    if wanted != link {
        let found = version(&wanted).map_or("no libtorch".to_owned(), |version| format!("version {version}"));
        bail!("LIBTORCH names {}, where there is {found}: it must be {VERSION}, or unset", wanted.display());
    }
    let environment = target("libtorch-venv");
    println!("{:<20} installs PyPI's {PACKAGE} to {}, about 1.3 GB", "", shown(&environment));
    python::environment(&environment).with_context(|| {
        format!("Python's module venv is needed; or set LIBTORCH to the folder of a libtorch {VERSION}")
    })?;
    let pip = environment.join("bin/pip");
    if process::probe(&mut Command::new("nvidia-smi")).is_some() {
        process::run(Command::new(&pip).args(["install", PACKAGE]))?;
    } else {
        process::run(Command::new(&pip).args(["install", "--no-deps", PACKAGE]).args(CUDA_PARTS))?;
    }
    make_link(&package_folder(&environment)?, &link)
}

/// Where Python finds the package, without an import of it.
fn package_folder(environment: &Path) -> Result<PathBuf> {
    let script = "import sysconfig; print(sysconfig.get_path('platlib'))";
    let folder = process::read(Command::new(environment.join("bin/python")).args(["-c", script]))?;
    Ok(PathBuf::from(folder.trim()).join("torch"))
}

/// Replaces the link in one step.
fn make_link(package: &Path, link: &Path) -> Result<()> {
    let relative = package.strip_prefix(target("")).unwrap_or(package);
    let new = target("libtorch.new");
    let _ = std::fs::remove_file(&new);
    #[cfg(unix)]
    std::os::unix::fs::symlink(relative, &new).with_context(|| format!("cannot make {}", new.display()))?;
    #[cfg(not(unix))]
    bail!("set LIBTORCH to {}", package.display());
    std::fs::rename(&new, link).with_context(|| format!("cannot make {}", link.display()))
}
