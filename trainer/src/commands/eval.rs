//! `stepshift eval`.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, Result};
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::{Value, json};
use stepshift_runtime::Model;
use stepshift_trainer::atomic_file;
use stepshift_trainer::config;
use stepshift_trainer::reconstruction::Errors;
use stepshift_trainer::roc::PASSING_PERCENT;
use stepshift_trainer::score::Score;
use stepshift_trainer::torch::evaluation::{Difference, Evaluation, Reconstruction, evaluate, golden_vectors};

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

impl Eval {
    pub(crate) fn run(&self) -> Result<ExitCode> {
        let path = self.model.clone().unwrap_or_else(|| self.run.model());
        let bytes = std::fs::read(&path).with_context(|| format!("cannot read {}", path.display()))?;
        let model = Model::parse(&bytes).with_context(|| path.display().to_string())?;
        let (state, data, network) = self.run.load()?;
        let task = config::parse(&state.config)?.task;
        let bar = ProgressBar::new(data.test.len() as u64)
            .with_style(ProgressStyle::with_template("evaluating {wide_bar} {pos}/{len}, {eta} left")?);
        let result = evaluate(&network, model, &data, task, |done| bar.set_position(done as u64));
        bar.finish_and_clear();
        let result = result.with_context(|| path.display().to_string())?;
        if let Some(vectors) = &self.vectors {
            atomic_file::write(vectors, &golden_vectors(&network, model, &data.test, self.limit as usize)?)?;
        }
        if self.json {
            let mut report = report(state.float_score, &result);
            report["model_bytes"] = bytes.len().into();
            report["arena_bytes"] = model.arena_bytes().into();
            println!("{report}");
        } else {
            print(state.float_score, &result)
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

/// The result for machines.
fn report(float: Option<Score>, result: &Evaluation) -> Value {
    let key = result.score.key();
    let mut report = json!({
        format!("float_{key}"): float.map(Score::value),
        format!("integer_{key}"): result.score.value(),
        "images": result.images,
        "tensors": result.tensors,
        "bit_exact": result.difference.is_none(),
    });
    if let Some(Reconstruction { exponent, errors }) = &result.reconstruction {
        report["error_exponent"] = (*exponent).into();
        report["threshold"] = errors.threshold().into();
        report["normal_images"] = errors.normal.len().into();
        report["anomalous_images"] = errors.anomalous.len().into();
        report["anomalies_found"] = found(errors).into();
    }
    report
}

/// Percent of the anomalies whose errors exceed the threshold; none where there are no anomalies.
fn found(errors: &Errors<u64>) -> Option<f64> {
    let threshold = errors.threshold()?;
    let found = errors.anomalous.iter().filter(|error| **error > threshold).count();
    (!errors.anomalous.is_empty()).then(|| 100.0 * found as f64 / errors.anomalous.len() as f64)
}

fn print(float: Option<Score>, result: &Evaluation) {
    let name = result.score.name();
    let width = "integer ".len() + name.len() + 2;
    let line = |name: &str, text: String| println!("{name:<width$}{text}");
    if let Some(score) = float {
        line(&format!("float {name}"), score.to_string());
    }
    line(&format!("integer {name}"), format!("{} of {} images", result.score, result.images));
    if let Some(Reconstruction { exponent, errors }) = &result.reconstruction
        && let Some(threshold) = errors.threshold()
    {
        let normal = errors.normal.len();
        let passing = format!("exceeded by no more than {} % of {normal} normal images", 100 - PASSING_PERCENT);
        let anomalies = |found| format!(", by {found:.2} % of {} anomalies", errors.anomalous.len());
        let found = found(errors).map(anomalies).unwrap_or_default();
        line("threshold", format!("{threshold} squared steps of 2^{exponent}, {passing}{found}"));
    }
    if result.difference.is_none() {
        line("bit-exact", format!("{} tensors, {} images", result.tensors, result.images));
    }
}
