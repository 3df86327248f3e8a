//! `cargo xtask demo`: from images to the same integers on a Cortex-M.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};
use clap::ValueEnum;
use serde::Deserialize;

use crate::inference::{self, Inference};
use crate::setup::{self, Report, Tool};
use crate::table::grouped;
use crate::workspace::{cargo, root, shown, target};
use crate::{boards, process};

/// Images that the device computes.
const DEVICE_IMAGES: &str = "100";

#[derive(Debug, clap::Args)]
pub(crate) struct Demo {
    /// What is learned from
    #[arg(long, value_enum, default_value_t = Dataset::Digits)]
    dataset: Dataset,
    /// The board
    #[arg(long, default_value = boards::DEFAULT, value_parser = boards::names())]
    board: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Dataset {
    /// UCI digits, 8 x 8: seconds of training
    Digits,
    /// Fashion-MNIST, 28 x 28: minutes of training
    FashionMnist,
}

/// What `stepshift eval --json` prints.
#[derive(Debug, Deserialize)]
pub(crate) struct Evaluation {
    /// Percent.
    pub(crate) float_accuracy: f64,
    /// Percent.
    pub(crate) integer_accuracy: f64,
    /// Test images.
    pub(crate) images: u64,
    /// Of all images.
    pub(crate) tensors: u64,
    bit_exact: bool,
    arena_bytes: u64,
}

impl Demo {
    /// The one that takes seconds, on the default board.
    pub(crate) fn on_digits() -> Self {
        Self { dataset: Dataset::Digits, board: boards::DEFAULT.to_owned() }
    }

    /// The run's folder.
    pub(crate) fn folder(&self) -> PathBuf {
        target("demo").join(self.dataset.name())
    }

    pub(crate) fn run(&self) -> Result<()> {
        let board = boards::find(&self.board)?;
        let name = self.dataset.name();
        setup::ensure(self.dataset.tools(), Report::Missing)?;
        println!("[1/5] build the trainer");
        let stepshift = build_trainer()?;
        println!("[2/5] train on {name}: float, then quantized");
        let folder = self.folder();
        train(&stepshift, name, &folder)?;
        println!("[3/5] evaluate in integers: every tensor of every test image");
        let vectors = folder.join("vectors.stepshift");
        let evaluation = evaluate(&stepshift, &folder, &vectors)?;
        println!("[4/5] build the firmware and run {DEVICE_IMAGES} images in QEMU");
        let device = inference::run(board, &folder.join("model.stepshift"), Some(&vectors))?;
        println!("[5/5] compare\n");
        print(name, board, &evaluation, &device)?;
        println!("\nmodel: {}", shown(&folder.join("model.stepshift")));
        Ok(())
    }
}

impl Dataset {
    const fn name(self) -> &'static str {
        match self {
            Self::Digits => "digits",
            Self::FashionMnist => "fashion-mnist",
        }
    }

    const fn tools(self) -> &'static [Tool] {
        match self {
            Self::Digits => &[Tool::Cxx, Tool::Libtorch, Tool::Toolchain, Tool::Qemu],
            Self::FashionMnist => &Tool::ALL,
        }
    }
}

/// Builds the binary `stepshift`; its path.
pub(crate) fn build_trainer() -> Result<PathBuf> {
    process::run(cargo().args(["build", "--release", "--package", "stepshift-trainer"]))?;
    Ok(target("release/stepshift"))
}

/// Trains anew, or goes on where an earlier demo was stopped.
fn train(stepshift: &Path, name: &str, folder: &Path) -> Result<()> {
    let mut command = Command::new(stepshift);
    command.arg("train").arg("--out").arg(folder);
    let (begun, finished) = (folder.join("checkpoint.safetensors"), folder.join("model.stepshift"));
    if begun.exists() && !finished.exists() {
        println!("goes on from {}", shown(&begun));
        command.arg("--resume");
    } else {
        if folder.exists() {
            fs::remove_dir_all(folder).with_context(|| format!("cannot remove {}", folder.display()))?;
        }
        command.arg(root().join(format!("trainer/configs/{name}.toml")));
    }
    let trained = process::run(&mut command);
    if process::interrupted() {
        eprintln!("`cargo xtask demo --dataset {name}` goes on from there as well");
    }
    trained
}

/// Evaluates a run's folder and writes golden vectors for the device.
pub(crate) fn evaluate(stepshift: &Path, folder: &Path, vectors: &Path) -> Result<Evaluation> {
    let mut command = Command::new(stepshift);
    command.arg("eval").arg(folder).args(["--json", "--limit", DEVICE_IMAGES]).arg("--vectors").arg(vectors);
    let json = process::read(&mut command)?;
    let evaluation: Evaluation =
        serde_json::from_str(&json).with_context(|| format!("`stepshift eval` printed {json}"))?;
    ensure!(evaluation.bit_exact, "the runtime differs from the trainer's exact forward");
    Ok(evaluation)
}

fn print(name: &str, board: &boards::Board, host: &Evaluation, device: &Inference) -> Result<()> {
    let (tensors, images) = device.equal.context("the firmware compared nothing")?;
    let (sizes, core) = (device.sizes, board.core);
    let row = |what: &str, value: String, note: String| println!("{what:<28}{value:>12}  {note}");
    println!("{name}, {} ({core} in QEMU)", board.name);
    row("float accuracy", format!("{:.2} %", host.float_accuracy), format!("{} test images", grouped(host.images)));
    row("integer accuracy", format!("{:.2} %", host.integer_accuracy), "the model file, in integers".to_owned());
    row(
        "flash bytes",
        grouped(sizes.flash()),
        format!("model {}, code and constants {}", grouped(sizes.model), grouped(sizes.code_and_constants())),
    );
    row("arena bytes", grouped(host.arena_bytes), "all activations".to_owned());
    row("instructions per inference", grouped(device.instructions), format!("{core}, counted by QEMU"));
    println!("bit-exact: {} tensors, {} images: trainer = host", grouped(host.tensors), grouped(host.images));
    println!("bit-exact: {} tensors, {} images: trainer = {core}", grouped(tensors), grouped(images));
    Ok(())
}
