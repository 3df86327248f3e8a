//! What `stepshift train` shows while it goes on: for people, for machines, or nothing; and Ctrl-C.

use std::fmt::Write;
use std::ops::ControlFlow;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::{Context, Result};
use indicatif::{ProgressBar, ProgressState, ProgressStyle};
use serde_json::json;
use stepshift_trainer::score::Score;
use stepshift_trainer::torch::checkpoint::EpochRecord;
use stepshift_trainer::torch::ptq::Report;
use stepshift_trainer::torch::training::{Observer, Progress};

/// How much is shown.
#[derive(Debug, Clone, Copy, clap::Args)]
pub(super) struct Output {
    /// Print nothing but errors
    #[arg(long, conflicts_with = "json")]
    quiet: bool,
    /// Print a line of JSON for every pass, for a calibration and at the end, and no progress bar
    #[arg(long)]
    json: bool,
}

/// Shows progress, and stops at Ctrl-C.
pub(super) struct Console {
    output: Output,
    bar: ProgressBar,
    stop: Arc<AtomicBool>,
    started_at: Option<usize>,
}

impl Console {
    pub(super) fn new(output: Output) -> Result<Self> {
        let stop = Arc::new(AtomicBool::new(false));
        let flag = Arc::clone(&stop);
        ctrlc::set_handler(move || flag.store(true, Ordering::Relaxed)).context("cannot watch for Ctrl-C")?;
        let style = ProgressStyle::with_template("{msg} {wide_bar} {percent}% {rate} batches/s, {eta} left")?.with_key(
            "rate",
            |state: &ProgressState, out: &mut dyn Write| {
                // A line that cannot be written is not shown.
                let _ = write!(out, "{:.0}", state.per_sec());
            },
        );
        let bar = if output.quiet || output.json { ProgressBar::hidden() } else { ProgressBar::new(0) };
        Ok(Self { output, bar: bar.with_style(style), stop, started_at: None })
    }

    /// The training is over, or stopped.
    pub(super) fn finish(&self) {
        self.bar.finish_and_clear();
    }

    /// The model is written.
    pub(super) fn trained(&self, model: &Path, float: Option<Score>) {
        if self.output.json {
            let mut line = json!({ "model": model });
            if let Some(score) = float {
                line[format!("float_{}", score.key())] = score.value().into();
            }
            println!("{line}");
        } else if !self.output.quiet {
            println!("trained: {}", model.display());
        }
    }
}

impl Observer for Console {
    fn batch(&mut self, progress: &Progress) -> ControlFlow<()> {
        if self.started_at.is_none() {
            self.started_at = Some(progress.done);
            self.bar.set_length(progress.total as u64);
            self.bar.set_position(progress.done as u64 - 1);
            self.bar.reset_eta();
        }
        self.bar.set_position(progress.done as u64);
        let Progress { phase, epoch, epochs, loss, .. } = progress;
        self.bar.set_message(format!("{} {epoch}/{epochs} loss {loss:.4}", phase.text()));
        if self.stop.load(Ordering::Relaxed) { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    }

    fn epoch(&mut self, record: &EpochRecord) {
        if self.output.quiet {
            return;
        }
        if self.output.json {
            println!("{}", json!(record));
            return;
        }
        let EpochRecord { phase, epoch, loss, score } = record;
        let line = format!("{:<9} epoch {epoch:>3}  loss {loss:.4}  test {} {score}", phase.text(), score.name());
        self.bar.suspend(|| println!("{line}"));
    }

    fn calibrated(&mut self, report: &Report) {
        if self.output.json {
            println!("{}", json!({ "calibration": report }));
        } else if !self.output.quiet {
            self.bar.suspend(|| println!("calibrated{}", calibrated(report)));
        }
    }
}

/// What a calibration did beside choosing ranges, as the rest of a line.
fn calibrated(report: &Report) -> String {
    let Report { equalized, left, learned, nearest } = report;
    let mut text = String::new();
    let (pairs, layers) = (equalized.len() + left.len(), learned.len() + nearest.len());
    if pairs > 0 {
        text += &format!("  {} of {pairs} pairs of layers equalized", equalized.len());
    }
    if layers > 0 {
        text += &format!("  rounding learned in {} of {layers} layers", learned.len());
    }
    if !nearest.is_empty() {
        text += &format!(", {} kept the nearest codes", nearest.join(" "));
    }
    text
}
