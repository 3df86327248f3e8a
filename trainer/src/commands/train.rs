//! `stepshift train`.

use std::fmt::Write;
use std::ops::ControlFlow;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::{Context, Result};
use indicatif::{ProgressBar, ProgressState, ProgressStyle};
use stepshift_trainer::export::Options;
use stepshift_trainer::torch::checkpoint::{self, EpochRecord, Phase};
use stepshift_trainer::torch::evaluation::sample;
use stepshift_trainer::torch::training::{CHECKPOINT_FILE, Observer, Outcome, Progress, Training};
use stepshift_trainer::{config, data};

use super::export::write_model;
use super::{INTERRUPTED, MODEL_FILE, load_data};

#[derive(Debug, clap::Args)]
pub(crate) struct Train {
    /// Description of the run; not needed with --resume
    #[arg(required_unless_present = "resume")]
    config: Option<PathBuf>,
    /// Folder for checkpoints, metrics and the model
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// Folder of the data set's files, for data sets that have files
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// Go on from the checkpoint in the folder, to the same bits as without the stop
    #[arg(long, conflicts_with = "config")]
    resume: bool,
}

impl Train {
    pub(crate) fn run(&self) -> Result<ExitCode> {
        let mut training = self.training()?;
        let mut console = Console::new()?;
        let outcome = training.run(&mut console)?;
        console.bar.finish_and_clear();
        if outcome == Outcome::Interrupted {
            let folder = self.out.display();
            eprintln!("stopped; the checkpoint is saved, go on with: stepshift train --resume --out {folder}");
            return Ok(ExitCode::from(INTERRUPTED));
        }
        let path = self.out.join(CHECKPOINT_FILE);
        let (state, tensors) = checkpoint::load(&path)?;
        let network = stepshift_trainer::torch::training::quantized_network(&state, &tensors, training.data())?;
        let sample = sample(&network, &training.data().test)?;
        write_model(&network, Options { sample: Some(&sample), ..Options::default() }, &self.out.join(MODEL_FILE))?;
        println!("trained: {}", self.out.join(MODEL_FILE).display());
        Ok(ExitCode::SUCCESS)
    }

    fn training(&self) -> Result<Training> {
        if self.resume {
            let path = self.out.join(CHECKPOINT_FILE);
            let (state, tensors) = checkpoint::load(&path)?;
            let data = load_data(&state, self.data.as_deref())?;
            return Training::resume(state, &tensors, data, &self.out).with_context(|| path.display().to_string());
        }
        let path = self.config.as_ref().context("a config is needed")?;
        let (config, text) = config::load(path)?;
        let data = data::load(config.dataset, self.data.as_deref())?;
        Training::new(config, text, data, &self.out).with_context(|| path.display().to_string())
    }
}

/// A progress bar, and Ctrl-C.
struct Console {
    bar: ProgressBar,
    stop: Arc<AtomicBool>,
    started_at: Option<usize>,
}

impl Console {
    fn new() -> Result<Self> {
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
        Ok(Self { bar: ProgressBar::new(0).with_style(style), stop, started_at: None })
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
        let Progress { epoch, epochs, loss, .. } = progress;
        self.bar.set_message(format!("{} {epoch}/{epochs} loss {loss:.4}", name(progress.phase)));
        if self.stop.load(Ordering::Relaxed) { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    }

    fn epoch(&mut self, record: &EpochRecord) {
        let EpochRecord { phase, epoch, loss, test_accuracy } = record;
        let line = format!("{:<9} epoch {epoch:>3}  loss {loss:.4}  test accuracy {test_accuracy:.2} %", name(*phase));
        self.bar.suspend(|| println!("{line}"));
    }
}

const fn name(phase: Phase) -> &'static str {
    match phase {
        Phase::Float => "float",
        Phase::Quantized => "quantized",
        Phase::Finished => "finished",
    }
}
