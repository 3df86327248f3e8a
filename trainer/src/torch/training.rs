//! The training loop: float, then quantized, with a checkpoint after every pass.

use std::ops::ControlFlow;
use std::path::Path;

use anyhow::{Context, Result, bail, ensure};
use tch::{Device, Tensor};

use super::batches::{Batch, Batches, Stream, to_tensor};
use super::checkpoint::{self, CHECKPOINT_VERSION, EpochRecord, Phase, State, Sums};
use super::learner::{Learner, Model, Place};
use super::quantized_network::{Mode, QuantizedNetwork};
use super::recording;
use super::run_folder::RunFolder;
use crate::config::{self, Config};
use crate::data::loader::{Loader, worker_count};
use crate::data::{Dataset, Images};
use crate::export::encode;
use crate::report::Observation;

/// Images in a batch of an evaluation.
const EVALUATION_BATCH: usize = 500;

/// File of a run's folder that a training is resumed from.
pub const CHECKPOINT_FILE: &str = "checkpoint.safetensors";

/// Test inputs whose activations are observed.
const OBSERVED_INPUTS: usize = 64;

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
    folder: RunFolder,
    state: State,
    learner: Learner,
    /// Of the last step.
    learning_rate: f64,
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
        let folder = RunFolder::begin(folder, &config, &text, &data)?;
        let learner = Learner::float(&config, &network);
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
        Ok(Self { config, data, folder, state, learner, learning_rate: 0.0 })
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
        let learner = Learner::restored(&config, &network, data.input_exponent, state.phase, tensors)?;
        let folder = RunFolder::resume(folder, &state)?;
        Ok(Self { config, data, folder, state, learner, learning_rate: 0.0 })
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
        let (batch_size, images) = (self.config.batch_size, self.data.train.len());
        let count = images.div_ceil(batch_size);
        let first = self.state.batch;
        let mut batches =
            Batches::new(&self.data.train, self.stream(), batch_size, first, self.config.augmentation, Device::Cpu);
        while let Some(batch) = batches.next_batch()? {
            let place = self.state.epoch as f64 + self.state.batch as f64 / count as f64;
            let images = batch.codes.size()[0] as usize;
            let loss = self.step(&batch, place)?;
            self.state.sums.loss += loss * images as f64;
            self.state.sums.images += images;
            self.state.batch += 1;
            if observer.batch(&self.progress(count)).is_break() {
                return Ok(ControlFlow::Break(()));
            }
        }
        Ok(ControlFlow::Continue(()))
    }

    /// One step of the optimizer; the loss.
    fn step(&mut self, batch: &Batch, epoch: f64) -> Result<f64> {
        let x = &batch.codes * 2_f64.powi(self.data.input_exponent.into());
        let frozen = self.state.epoch >= self.config.quantized.freeze_after;
        let mode = if frozen { Mode::Frozen } else { Mode::Learning };
        let (float, quantized) = (self.config.float.epochs, self.config.quantized.epochs);
        let epochs = if self.state.phase == Phase::Float { float } else { quantized };
        let Stream { seed, epoch: pass } = self.stream();
        let seed = (seed ^ (pass << 32) ^ self.state.batch as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15).cast_signed();
        let place = Place { epoch, epochs, mode, seed };
        self.learning_rate = self.learner.learning_rate(place);
        let loss = self.learner.step(&self.config, &x, |of| batch.targets.loss(of), place);
        loss.with_context(|| {
            let State { phase, epoch, batch, .. } = &self.state;
            format!(
                "{phase:?} epoch {}, batch {}: lower the learning rate; the last good checkpoint is kept",
                epoch + 1,
                batch + 1
            )
        })
    }

    /// Evaluates, records, goes on to the next pass or phase, and saves.
    fn finish_epoch(&mut self, observer: &mut dyn Observer) -> Result<()> {
        let phase = self.state.phase;
        if phase == Phase::Quantized && self.state.epoch + 1 == self.config.quantized.freeze_after {
            // Exponents are known now: a network that cannot be exported is refused before it is trained on.
            encode(&self.learner.freeze()?.to_fixed_point()?)?;
        }
        let test_accuracy = self.test_accuracy()?;
        let Sums { loss, images } = self.state.sums;
        let record = EpochRecord { phase, epoch: self.state.epoch + 1, loss: loss / images as f64, test_accuracy };
        observer.epoch(&record);
        let observation = self.observe(&record)?;
        self.state.history.push(record);
        self.state.epoch += 1;
        self.state.batch = 0;
        self.state.sums = Sums::default();
        self.change_phase(test_accuracy)?;
        self.save()?;
        self.folder.record(observation, &self.config, &self.state, &self.data)
    }

    /// What the report is to show of a pass.
    fn observe(&self, record: &EpochRecord) -> Result<Observation> {
        let test = &self.data.test;
        let x = to_tensor(test.range(0..test.len().min(OBSERVED_INPUTS))?.view());
        let x = x * 2_f64.powi(self.data.input_exponent.into());
        let layers = match self.learner.model() {
            Model::Float(network) => recording::of_float(network, &x),
            Model::Quantized(network) => recording::of_quantized(network, &x)?,
        };
        Ok(Observation {
            phase: record.phase.text().to_owned(),
            epoch: record.epoch,
            loss: record.loss,
            test_accuracy: record.test_accuracy,
            learning_rate: self.learning_rate,
            layers,
        })
    }

    /// Goes on to the next phase where this one has had all its passes.
    fn change_phase(&mut self, test_accuracy: f64) -> Result<()> {
        let over = match self.state.phase {
            Phase::Float => self.state.epoch == self.config.float.epochs,
            Phase::Quantized => self.state.epoch == self.config.quantized.epochs,
            Phase::Finished => false,
        };
        if !over {
            return Ok(());
        }
        self.learner.use_average();
        if self.state.phase == Phase::Quantized {
            self.state.phase = Phase::Finished;
            return Ok(());
        }
        self.state.float_accuracy = Some(test_accuracy);
        (self.state.phase, self.state.epoch) = (Phase::Quantized, 0);
        let network = self.config.network(self.data.train.shape(), self.data.classes)?;
        let blank = Learner::float(&self.config, &network);
        if let Model::Float(float) = std::mem::replace(&mut self.learner, blank).into_model() {
            self.learner = Learner::quantized(&self.config, float, self.data.input_exponent)?;
        }
        self.calibrate()
    }

    /// Quantizes by some images of the training set, where the config asks for that; with no pass of training that is all.
    fn calibrate(&mut self) -> Result<()> {
        let Some(calibration) = self.config.quantized.calibration else { return Ok(()) };
        let scale = 2_f64.powi(self.data.input_exponent.into());
        let images = &self.data.train;
        let order = Stream { seed: self.config.seed, epoch: u64::from(u32::MAX) }.order(images.len());
        let chosen = &order[..calibration.images.min(images.len())];
        let batch = |indices: &[usize]| Ok(to_tensor(images.read(indices)?.view()) * scale);
        let batches = chosen.chunks(self.config.batch_size).map(batch).collect::<Result<Vec<Tensor>>>()?;
        self.learner.calibrate(&self.config, &batches)?;
        if self.config.quantized.epochs == 0 {
            encode(&self.learner.freeze()?.to_fixed_point()?)?;
            self.state.phase = Phase::Finished;
        }
        Ok(())
    }

    /// Test accuracy of the average of the weights, where there is one.
    fn test_accuracy(&mut self) -> Result<f64> {
        self.learner.use_average();
        let accuracy = self.accuracy(&self.data.test);
        self.learner.use_average();
        accuracy
    }

    /// Percent of images whose greatest output is their label, by the training forward.
    fn accuracy(&self, images: &Images) -> Result<f64> {
        let scale = 2_f64.powi(self.data.input_exponent.into());
        let mut right = 0;
        let batches = Loader::new(images, (0..images.len()).collect(), EVALUATION_BATCH, worker_count());
        for batch in batches {
            let batch = batch.context("a test input cannot be read")?;
            let x = to_tensor(batch.codes.view()) * scale;
            let logits = self.learner.outputs(&x)?;
            let classes = Vec::<i64>::try_from(logits.argmax(1, false))?;
            right += classes.iter().zip(&batch.labels).filter(|(class, label)| **class == i64::from(**label)).count();
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
        let tensors = self.learner.state();
        checkpoint::save(&self.folder.file(CHECKPOINT_FILE), &self.state, &tensors)?;
        self.folder.write_metrics(&self.state)
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
    match Learner::restored(&config, &network, data.input_exponent, state.phase, tensors)?.into_model() {
        Model::Quantized(network) => Ok(network),
        Model::Float(_) => bail!("its quantized training has not begun: go on with `stepshift train --resume`"),
    }
}
