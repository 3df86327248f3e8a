//! LiteRT, TensorFlow Lite's successor, as PyPI's `ai-edge-litert` carries it.

use std::path::PathBuf;
use std::process::Command;

use anyhow::Result;

use super::python;
use crate::process;
use crate::workspace::{shown, target};

/// What is installed.
const PACKAGES: [&str; 3] = ["ai-edge-litert==2.3.0", "numpy", "flatbuffers"];

/// The Python that has it.
pub(crate) fn python() -> PathBuf {
    target("litert-venv/bin/python")
}

pub(super) fn find() -> Option<String> {
    let script = "import importlib.metadata as m, flatbuffers, numpy; print(m.version('ai-edge-litert'))";
    let version = process::probe(Command::new(python()).args(["-c", script]))?;
    PACKAGES[0].ends_with(&format!("=={}", version.trim())).then(|| format!("version {}", version.trim()))
}

pub(super) fn install() -> Result<()> {
    let environment = target("litert-venv");
    println!("{:<20} installs PyPI's {} to {}, about 160 MB", "", PACKAGES[0], shown(&environment));
    python::environment(&environment)?;
    process::run(Command::new(environment.join("bin/pip")).args(["install", "--quiet"]).args(PACKAGES))
}
