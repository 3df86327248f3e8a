//! The commands of `stepshift`, one a file.

mod console;
mod diff;
mod eval;
mod export;
mod inspect;
mod layer_table;
mod sign;
mod train;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result};
use clap::{Parser, Subcommand};
use stepshift_trainer::config;
use stepshift_trainer::data::{self, Dataset};
use stepshift_trainer::torch::checkpoint::{self, State};
use stepshift_trainer::torch::memory::caught;
use stepshift_trainer::torch::quantized_network::QuantizedNetwork;
use stepshift_trainer::torch::run_folder::front_end;
use stepshift_trainer::torch::training::{CHECKPOINT_FILE, quantized_network};

/// Name of the model in a run's folder.
const MODEL_FILE: &str = "model.stepshift";

/// Name of the model that takes a row a run, beside it.
const STREAM_FILE: &str = "stream.stepshift";

/// Exit status of a training that was stopped and can be resumed, as shells report Ctrl-C.
const INTERRUPTED: u8 = 130;

/// Trains small networks with power-of-two steps and exports them to the stepshift runtime.
#[derive(Debug, Parser)]
#[command(version)]
pub(crate) struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Train a network: in floating point, then quantized; export it
    Train(train::Train),
    /// Run a model in integers over the test images and compare every tensor with the exact forward
    Eval(eval::Eval),
    /// Write the model file of a checkpoint
    Export(export::Export),
    /// Compare a model with a checkpoint, layer by layer: exponents, saturation, noise, first difference
    Diff(diff::Diff),
    /// Show what is in a model file
    Inspect(inspect::Inspect),
    /// Sign a model file, so that firmware can refuse models of others
    Sign(sign::Sign),
}

/// A run's folder, and where its data are.
#[derive(Debug, clap::Args)]
struct RunFolder {
    /// Folder that `stepshift train` wrote
    run: PathBuf,
    /// Folder of the data set's files, for data sets that have files
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
}

impl RunFolder {
    fn model(&self) -> PathBuf {
        self.run.join(MODEL_FILE)
    }

    fn stream(&self) -> PathBuf {
        self.run.join(STREAM_FILE)
    }

    fn load(&self) -> Result<(State, Dataset, QuantizedNetwork)> {
        let path = self.run.join(CHECKPOINT_FILE);
        let (state, tensors) = checkpoint::load(&path)?;
        let data = load_data(&state, self.data.as_deref(), &self.run)?;
        let network = quantized_network(&state, &tensors, &data).with_context(|| path.display().to_string())?;
        Ok((state, data, network))
    }
}

/// The data of a run, with the front end that it was begun with.
fn load_data(state: &State, folder: Option<&Path>, run: &Path) -> Result<Dataset> {
    let config = config::parse(&state.config)?;
    let front_end = front_end(run)?;
    Ok(data::load(config.source(front_end.as_deref()), folder)?)
}

/// Runs a command; an error is one line to standard error and exit status 1.
pub(crate) fn run(cli: &Cli) -> ExitCode {
    let outcome = caught(|| match &cli.command {
        Command::Train(command) => command.run(),
        Command::Eval(command) => command.run(),
        Command::Export(command) => command.run(),
        Command::Diff(command) => command.run(),
        Command::Inspect(command) => command.run(),
        Command::Sign(command) => command.run(),
    });
    outcome.unwrap_or_else(|error| {
        eprintln!("error: {error:#}");
        ExitCode::FAILURE
    })
}
