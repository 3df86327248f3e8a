//! `stepshift diff`.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result};
use stepshift_runtime::Model;
use stepshift_trainer::torch::layer_report::{LayerReport, layer_reports};

use super::RunFolder;
use super::layer_table::Table;

#[derive(Debug, clap::Args)]
pub(crate) struct Diff {
    /// A model file
    model: PathBuf,
    /// The folder of a run, or its checkpoint
    checkpoint: PathBuf,
    /// Folder of the data set's files, for data sets that have files
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// Test images over which layers are compared
    #[arg(long, default_value_t = 100, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=10_000))]
    limit: u64,
}

impl Diff {
    pub(crate) fn run(&self) -> Result<ExitCode> {
        let path = self.model.display();
        let bytes = std::fs::read(&self.model).with_context(|| format!("cannot read {path}"))?;
        let model = Model::parse(&bytes).with_context(|| path.to_string())?;
        let folder = if self.checkpoint.is_file() { self.checkpoint.parent() } else { Some(self.checkpoint.as_path()) };
        let run = RunFolder { run: folder.unwrap_or_else(|| Path::new(".")).into(), data: self.data.clone() };
        let (_, data, network) = run.load()?;
        let count = data.test.len().min(self.limit as usize);
        let images = data.test.range(0..count)?;
        let reports = layer_reports(&network, model, images.view()).with_context(|| path.to_string())?;
        print(&reports);
        let different = reports.iter().filter(|report| report.difference.is_some()).count();
        if different > 0 {
            println!("{different} of {} layers differ over {count} images", reports.len());
            return Ok(ExitCode::FAILURE);
        }
        println!("{} layers are equal over {count} images", reports.len());
        Ok(ExitCode::SUCCESS)
    }
}

fn print(reports: &[LayerReport]) {
    let mut table = Table::new(["layer", "exponent", "saturated", "signal to noise", "first difference"]);
    for report in reports {
        let difference = report.difference.map_or_else(
            || "equal".to_owned(),
            |found| format!("image {} index {}: {} instead of {}", found.image, found.index, found.model, found.exact),
        );
        table.row([
            report.name.clone(),
            report.exponent.to_string(),
            format!("{:.3} %", report.saturated),
            if report.signal_to_noise.is_finite() {
                format!("{:.1} dB", report.signal_to_noise)
            } else {
                "no noise".to_owned()
            },
            difference,
        ]);
    }
    table.print();
}
