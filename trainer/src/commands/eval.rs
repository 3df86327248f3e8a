//! `stepshift eval`.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, Result};
use indicatif::{ProgressBar, ProgressStyle};
use serde::Serialize;
use stepshift_runtime::Model;
use stepshift_trainer::atomic_file;
use stepshift_trainer::torch::evaluation::{Difference, Evaluation, evaluate, golden_vectors};

use super::RunFolder;

#[derive(Debug, clap::Args)]
pub(crate) struct Eval {
    #[command(flatten)]
    run: RunFolder,
    /// The model; the run folder's where left out
    #[arg(long, value_name = "FILE")]
    model: Option<PathBuf>,
    /// Write inputs and digests of every layer of the exact forward, for checks on a device
    #[arg(long, value_name = "FILE")]
    vectors: Option<PathBuf>,
    /// Images in the vectors file
    #[arg(long, default_value_t = 100, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    limit: u64,
    /// Print one line of JSON
    #[arg(long)]
    json: bool,
}

/// The result for machines.
#[derive(Debug, Serialize)]
struct Report {
    float_accuracy: Option<f64>,
    integer_accuracy: f64,
    images: usize,
    tensors: usize,
    bit_exact: bool,
    model_bytes: usize,
    arena_bytes: usize,
}

impl Eval {
    pub(crate) fn run(&self) -> Result<ExitCode> {
        let path = self.model.clone().unwrap_or_else(|| self.run.model());
        let bytes = std::fs::read(&path).with_context(|| format!("cannot read {}", path.display()))?;
        let model = Model::parse(&bytes).with_context(|| path.display().to_string())?;
        let (state, data, network) = self.run.load()?;
        let bar = ProgressBar::new(data.test.len() as u64)
            .with_style(ProgressStyle::with_template("evaluating {wide_bar} {pos}/{len}, {eta} left")?);
        let result = evaluate(&network, model, &data.test, |done| bar.set_position(done as u64));
        bar.finish_and_clear();
        let result = result.with_context(|| path.display().to_string())?;
        if let Some(vectors) = &self.vectors {
            atomic_file::write(vectors, &golden_vectors(&network, model, &data.test, self.limit as usize)?)?;
        }
        let report = Report {
            float_accuracy: state.float_accuracy,
            integer_accuracy: result.accuracy,
            images: result.images,
            tensors: result.tensors,
            bit_exact: result.difference.is_none(),
            model_bytes: bytes.len(),
            arena_bytes: model.arena_bytes(),
        };
        if self.json {
            println!("{}", serde_json::to_string(&report)?)
        } else {
            print(&report, &result)
        }
        if let Some(Difference { image, layer, index, model, exact }) = result.difference {
            eprintln!(
                "error: image {image}, layer {layer}, index {index}: the model's code is {model}, the exact forward's {exact}"
            );
            return Ok(ExitCode::FAILURE);
        }
        Ok(ExitCode::SUCCESS)
    }
}

fn print(report: &Report, result: &Evaluation) {
    if let Some(accuracy) = report.float_accuracy {
        println!("float accuracy    {accuracy:.2} %");
    }
    println!("integer accuracy  {:.2} % of {} images", result.accuracy, result.images);
    if report.bit_exact {
        println!("bit-exact         {} tensors, {} images", result.tensors, result.images);
    }
}
