//! The training loop: float, then quantized, with a checkpoint after every pass.

use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};
use tch::{Kind, Tensor};

use super::batches::{Stream, to_tensor};
use super::checkpoint::{self, CHECKPOINT_VERSION, EpochRecord, Phase, State, Sums};
use super::float_network::{FloatNetwork, restore};
use super::optimizer::Sgd;
use super::quantized_network::{Mode, QuantizedNetwork};
use crate::atomic_file;
use crate::config::{self, Config};
use crate::data::{Dataset, Images};
use crate::export::encode;
use crate::network::Network;

/// Images in a batch of an evaluation.
const EVALUATION_BATCH: usize = 500;

/// File names in a run's folder.
pub const CHECKPOINT_FILE: &str = "checkpoint.safetensors";
const CONFIG_FILE: &str = "config.toml";
const METRICS_FILE: &str = "metrics.csv";

/// What a training tells while it goes on; `Break` stops it at the next checkpoint.
pub trait Observer {
    /// Behind every batch.
    fn batch(&mut self, progress: &Progress) -> ControlFlow<()>;
    /// Behind every pass.
    fn epoch(&mut self, record: &EpochRecord);
}

/// How far a training is.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Progress {
    /// Current phase.
    pub phase: Phase,
    /// Current pass of the phase, from 1.
    pub epoch: usize,
    /// Passes of the phase.
    pub epochs: usize,
    /// Batches done in all, in both phases.
    pub done: usize,
    /// Batches in all.
    pub total: usize,
    /// Mean loss of the pass so far.
    pub loss: f64,
}

/// How a training ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// Both phases are over.
    Finished,
    /// Stopped by its observer; it can be resumed to the same bits.
    Interrupted,
}

/// A run: its data, its networks, and where it stands.
#[derive(Debug)]
pub struct Training {
    config: Config,
    data: Dataset,
    folder: PathBuf,
    state: State,
    model: Model,
    optimizer: Sgd,
}

#[derive(Debug)]
enum Model {
    Float(FloatNetwork),
    Quantized(QuantizedNetwork),
}

impl Training {
    /// A new run in a folder, which is made.
    ///
    /// # Errors
    /// Where the network does not fit the data, or the folder holds a run already.
    pub fn new(config: Config, text: String, data: Dataset, folder: &Path) -> Result<Self> {
        let network = config.network(data.train.shape(), data.classes)?;
        std::fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
        let taken = folder.join(CHECKPOINT_FILE);
        ensure!(!taken.exists(), "{} exists: go on with --resume, or choose another --out", taken.display());
        atomic_file::write(&folder.join(CONFIG_FILE), text.as_bytes())?;
        let float = FloatNetwork::new(&network, config.seed);
        let optimizer = Sgd::new(config.float.optimizer, float.parameters());
        let state = State {
            version: CHECKPOINT_VERSION,
            config: text,
            phase: Phase::Float,
            epoch: 0,
            batch: 0,
            sums: Sums::default(),
            history: Vec::new(),
            float_accuracy: None,
        };
        Ok(Self { config, data, folder: folder.into(), state, model: Model::Float(float), optimizer })
    }

    /// The run that a folder's checkpoint holds.
    ///
    /// # Errors
    /// Names the file and what is wrong with it.
    pub fn resume(
        state: State,
        tensors: &std::collections::HashMap<String, Tensor>,
        data: Dataset,
        folder: &Path,
    ) -> Result<Self> {
        let config = config::parse(&state.config)?;
        let network = config.network(data.train.shape(), data.classes)?;
        let (model, optimizer) = restored(&config, &network, data.input_exponent, state.phase, tensors)?;
        Ok(Self { config, data, folder: folder.into(), state, model, optimizer })
    }

    /// Where the run stands.
    #[must_use]
    pub const fn state(&self) -> &State {
        &self.state
    }

    /// The data set.
    #[must_use]
    pub const fn data(&self) -> &Dataset {
        &self.data
    }

    /// Trains until both phases are over or the observer breaks.
    ///
    /// # Errors
    /// Where the loss is not a number any more, or a file cannot be written; the last checkpoint stays.
    pub fn run(&mut self, observer: &mut dyn Observer) -> Result<Outcome> {
        while self.state.phase != Phase::Finished {
            if self.epoch(observer)?.is_break() {
                self.save()?;
                return Ok(Outcome::Interrupted);
            }
            self.finish_epoch(observer)?;
        }
        Ok(Outcome::Finished)
    }

    /// The rest of a pass.
    fn epoch(&mut self, observer: &mut dyn Observer) -> Result<ControlFlow<()>> {
        let stream = self.stream();
        let order = stream.order(self.data.train.len());
        let batches: Vec<&[usize]> = order.chunks(self.config.batch_size).collect();
        while self.state.batch < batches.len() {
            let indices = batches[self.state.batch];
            let (codes, labels) = stream.batch(&self.data.train, indices, self.state.batch, self.config.augmentation);
            let place = self.state.epoch as f64 + self.state.batch as f64 / batches.len() as f64;
            let loss = self.step(&codes, &labels, place)?;
            self.state.sums.loss += loss * indices.len() as f64;
            self.state.sums.images += indices.len();
            self.state.batch += 1;
            if observer.batch(&self.progress(batches.len())).is_break() {
                return Ok(ControlFlow::Break(()));
            }
        }
        Ok(ControlFlow::Continue(()))
    }

    /// One step of the optimizer; the loss.
    fn step(&mut self, codes: &Tensor, labels: &Tensor, place: f64) -> Result<f64> {
        let x = codes * 2_f64.powi(self.data.input_exponent.into());
        let frozen = self.state.epoch >= self.config.quantized.freeze_after;
        let mode = if frozen { Mode::Frozen } else { Mode::Learning };
        let (logits, epochs) = match &mut self.model {
            Model::Float(network) => (network.forward(&x, true), self.config.float.epochs),
            Model::Quantized(network) => (network.train_forward(&x, mode)?, self.config.quantized.epochs),
        };
        let loss = logits.cross_entropy_for_logits(labels);
        let value = loss.double_value(&[]);
        if !value.is_finite() {
            bail!(
                "the loss became {value} in {:?} epoch {}, batch {}: lower the learning rate; the last checkpoint is kept",
                self.state.phase,
                self.state.epoch + 1,
                self.state.batch + 1
            );
        }
        self.optimizer.zero_gradients();
        loss.backward();
        self.optimizer.step(self.optimizer.rate(place, epochs));
        Ok(value)
    }

    /// Evaluates, records, goes on to the next pass or phase, and saves.
    fn finish_epoch(&mut self, observer: &mut dyn Observer) -> Result<()> {
        let phase = self.state.phase;
        if let Model::Quantized(network) = &mut self.model
            && self.state.epoch + 1 == self.config.quantized.freeze_after
        {
            network.freeze();
            // Exponents are known now: a network that cannot be exported is refused before it is trained on.
            encode(&network.to_fixed_point()?)?;
        }
        let test_accuracy = self.accuracy(&self.data.test)?;
        let Sums { loss, images } = self.state.sums;
        let record = EpochRecord { phase, epoch: self.state.epoch + 1, loss: loss / images as f64, test_accuracy };
        observer.epoch(&record);
        self.state.history.push(record);
        self.state.epoch += 1;
        self.state.batch = 0;
        self.state.sums = Sums::default();
        self.change_phase(test_accuracy)?;
        self.save()
    }

    /// Goes on to the next phase where this one has had all its passes.
    fn change_phase(&mut self, test_accuracy: f64) -> Result<()> {
        match &self.model {
            Model::Float(float) if self.state.epoch == self.config.float.epochs => {
                let quantized = QuantizedNetwork::fold(float, self.data.input_exponent, &self.config.quantized)?;
                self.optimizer = Sgd::new(self.config.quantized.optimizer, quantized.parameters());
                self.model = Model::Quantized(quantized);
                self.state.float_accuracy = Some(test_accuracy);
                (self.state.phase, self.state.epoch) = (Phase::Quantized, 0);
            }
            Model::Quantized(_) if self.state.epoch == self.config.quantized.epochs => {
                self.state.phase = Phase::Finished;
            }
            Model::Float(_) | Model::Quantized(_) => {}
        }
        Ok(())
    }

    /// Percent of images whose greatest output is their label, by the training forward.
    fn accuracy(&self, images: &Images) -> Result<f64> {
        let scale = 2_f64.powi(self.data.input_exponent.into());
        let mut right = 0;
        for (codes, labels) in images
            .codes
            .axis_chunks_iter(ndarray::Axis(0), EVALUATION_BATCH)
            .zip(images.labels.chunks(EVALUATION_BATCH))
        {
            let x = to_tensor(codes) * scale;
            let logits = tch::no_grad(|| match &self.model {
                Model::Float(network) => Ok(network.forward(&x, false)),
                Model::Quantized(network) => {
                    network.fast_forward(&x)?.pop().map(|output| output.flatten(1, -1)).context("there are no layers")
                }
            })?;
            let classes = Vec::<i64>::try_from(logits.argmax(1, false))?;
            right += classes.iter().zip(labels).filter(|(class, label)| **class == i64::from(**label)).count();
        }
        Ok(100.0 * right as f64 / images.len() as f64)
    }

    fn stream(&self) -> Stream {
        let before = if self.state.phase == Phase::Float { 0 } else { self.config.float.epochs };
        Stream { seed: self.config.seed, epoch: (before + self.state.epoch) as u64 }
    }

    fn progress(&self, batches: usize) -> Progress {
        let (float, quantized) = (self.config.float.epochs, self.config.quantized.epochs);
        let (before, epochs) = if self.state.phase == Phase::Float { (0, float) } else { (float, quantized) };
        let Sums { loss, images } = self.state.sums;
        Progress {
            phase: self.state.phase,
            epoch: self.state.epoch + 1,
            epochs,
            done: (before + self.state.epoch) * batches + self.state.batch,
            total: (float + quantized) * batches,
            loss: loss / images as f64,
        }
    }

    /// Writes the checkpoint and the metrics.
    fn save(&self) -> Result<()> {
        let mut tensors = match &self.model {
            Model::Float(network) => network.state(),
            Model::Quantized(network) => network.state(),
        };
        tensors.extend(self.optimizer.state());
        checkpoint::save(&self.folder.join(CHECKPOINT_FILE), &self.state, &tensors)?;
        let mut csv = csv::Writer::from_writer(Vec::new());
        for record in &self.state.history {
            csv.serialize(record)?;
        }
        atomic_file::write(&self.folder.join(METRICS_FILE), &csv.into_inner()?)
    }
}

/// The quantized network of a checkpoint whose quantized training has begun.
///
/// # Errors
/// Names what is missing.
pub fn quantized_network(
    state: &State,
    tensors: &std::collections::HashMap<String, Tensor>,
    data: &Dataset,
) -> Result<QuantizedNetwork> {
    let config = config::parse(&state.config)?;
    let network = config.network(data.train.shape(), data.classes)?;
    match restored(&config, &network, data.input_exponent, state.phase, tensors)?.0 {
        Model::Quantized(network) => Ok(network),
        Model::Float(_) => bail!("its quantized training has not begun: go on with `stepshift train --resume`"),
    }
}

fn restored(
    config: &Config,
    network: &Network,
    input_exponent: i8,
    phase: Phase,
    tensors: &std::collections::HashMap<String, Tensor>,
) -> Result<(Model, Sgd)> {
    let float = FloatNetwork::new(network, config.seed);
    let (model, optimizer, mut expected) = if phase == Phase::Float {
        let optimizer = Sgd::new(config.float.optimizer, float.parameters());
        let state = float.state();
        (Model::Float(float), optimizer, state)
    } else {
        let quantized = QuantizedNetwork::fold(&float, input_exponent, &config.quantized)?;
        let optimizer = Sgd::new(config.quantized.optimizer, quantized.parameters());
        let state = quantized.state();
        (Model::Quantized(quantized), optimizer, state)
    };
    expected.extend(optimizer.state());
    restore(&expected, |name| tensors.get(name).map(|tensor| tensor.to_kind(Kind::Float)))?;
    Ok((model, optimizer))
}
