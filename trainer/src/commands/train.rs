//! `stepshift train`.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, Result};
use stepshift_trainer::export::Options;
use stepshift_trainer::torch::checkpoint;
use stepshift_trainer::torch::device::DeviceName;
use stepshift_trainer::torch::evaluation::sample;
use stepshift_trainer::torch::training::{CHECKPOINT_FILE, FLOAT_FILE, Outcome, Training};
use stepshift_trainer::{config, data};

use super::console::{Console, Output};
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
    /// Quantize the float network of another run's folder, with the same data set and network, instead of training one
    #[arg(long, value_name = "DIR", conflicts_with = "resume")]
    float: Option<PathBuf>,
    /// Where to train: cpu, cuda, or cuda:1 for the second of several GPUs
    #[arg(long, default_value = "cpu")]
    device: DeviceName,
    #[command(flatten)]
    output: Output,
}

impl Train {
    pub(crate) fn run(&self) -> Result<ExitCode> {
        let mut training = self.training()?;
        let mut console = Console::new(self.output)?;
        if self.float.is_some() {
            training.quantize(&mut console)?;
        }
        let outcome = training.run(&mut console)?;
        console.finish();
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
        console.trained(&self.out.join(MODEL_FILE), training.state().float_score);
        Ok(ExitCode::SUCCESS)
    }

    fn training(&self) -> Result<Training> {
        let device = self.device.open()?;
        if self.resume {
            let path = self.out.join(CHECKPOINT_FILE);
            let (state, tensors) = checkpoint::load(&path)?;
            let data = load_data(&state, self.data.as_deref(), &self.out)?;
            return Training::resume(state, &tensors, data, &self.out, device)
                .with_context(|| path.display().to_string());
        }
        let path = self.config.as_ref().context("a config is needed")?;
        let (config, text) = config::load(path)?;
        let data = data::load(config.source(None), self.data.as_deref())?;
        let float = self.float.as_ref().map(|run| run.join(FLOAT_FILE));
        let training = Training::new(config, text, data, &self.out, device, float.as_deref());
        training.with_context(|| path.display().to_string())
    }
}
