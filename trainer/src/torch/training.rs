//! The training loop: float, then quantized, with a checkpoint after every pass.

use std::collections::HashMap;
use std::ops::ControlFlow;
use std::path::Path;

use anyhow::{Context, Error, Result, bail, ensure};
use tch::{Device, Tensor};

use super::batches::{Batch, Batches, Stream, to_tensor};
use super::checkpoint::{self, CHECKPOINT_VERSION, EpochRecord, Phase, State, Sums};
use super::diagnosis::{Guess, has_climbed, is_lost};
use super::float_network::restore;
use super::learner::{Learner, Model, Place};
use super::losses::Losses;
use super::memory::{OutOfMemory, caught};
use super::objective::Goal;
use super::operators::weight_shape;
use super::ptq;
use super::quantized_network::{Mode, QuantizedNetwork};
use super::recording;
use super::run_folder::RunFolder;
use super::scoring::score;
use crate::config::{self, BatchNormMode, Config, Task};
use crate::data::{Dataset, Images, Moments};
use crate::export::encode;
use crate::network::{Layer, Network};
use crate::report::Observation;
use crate::score::Score;

/// File of a run's folder that a training is resumed from.
pub const CHECKPOINT_FILE: &str = "checkpoint.safetensors";

/// File of a run's folder with the float network, which other runs may quantize.
pub const FLOAT_FILE: &str = "float.safetensors";

/// Test inputs whose activations are observed.
const OBSERVED_INPUTS: usize = 64;

/// Inputs that the loss of a guess is estimated on, at most.
const GUESSED_INPUTS: usize = 1000;

/// What is to be done about a checkpoint without a quantized network.
const UNFINISHED: &str = "its exponents are not chosen yet, quantized training does that: finish it by `stepshift train \
                          --resume --out` with this folder";

/// What a training tells while it goes on; `Break` stops it at the next checkpoint.
pub trait Observer {
    /// Behind every batch.
    fn batch(&mut self, progress: &Progress) -> ControlFlow<()>;
    /// Behind every pass.
    fn epoch(&mut self, record: &EpochRecord);
    /// Behind a quantization without training.
    fn calibrated(&mut self, report: &ptq::Report);
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
    device: Device,
    /// What losses are held against.
    guess: Guess,
    /// Of the last step.
    learning_rate: f64,
}

/// Everything that learns, before steps whose losses nobody has seen.
struct Good {
    /// The batch that follows.
    batch: usize,
    tensors: HashMap<String, Tensor>,
}

impl Training {
    /// A new run in a folder, which is made.
    ///
    /// float  [`FLOAT_FILE`] of another run, for [`Self::quantize`]
    ///
    /// # Errors
    /// Where the network does not fit the data, a layer cannot be quantized as the config asks, the float network is of another
    /// data set or another network, or the folder holds a run already.
    pub fn new(
        config: Config,
        text: String,
        data: Dataset,
        folder: &Path,
        device: Device,
        float: Option<&Path>,
    ) -> Result<Self> {
        let network = config.network(data.train.shape(), data.classes)?;
        config.augmentation.check_extents(data.train.shape())?;
        let learner =
            caught(|| Ok(Learner::float(&config, &network, device))).with_context(|| most_weights(&network))?;
        if let Model::Float(float) = learner.model() {
            // Quantizers that a layer cannot have are refused now, not behind the training in floating point.
            QuantizedNetwork::fold(float, data.input_exponent, &config.quantized)?;
        }
        let float = float.map(|path| adopt(path, &config, &learner).with_context(|| path.display().to_string()));
        let float = float.transpose()?;
        let guess = guess(&config, &data)?;
        let folder = RunFolder::begin(folder, &config, &text, &data)?;
        let state = State {
            version: CHECKPOINT_VERSION,
            config: text,
            phase: Phase::Float,
            epoch: 0,
            batch: 0,
            sums: Sums::default(),
            float_score: float.as_ref().and_then(|float| float.float_score),
            history: float.map(|float| float.history).unwrap_or_default(),
        };
        Ok(Self { config, data, folder, state, learner, device, guess, learning_rate: 0.0 })
    }

    /// Goes to the quantized phase with the float network that the run was begun with.
    ///
    /// # Errors
    /// Where a file cannot be written.
    pub fn quantize(&mut self, observer: &mut dyn Observer) -> Result<()> {
        self.begin_quantized(self.state.float_score, observer)?;
        self.save()
    }

    /// The run that a folder's checkpoint holds.
    ///
    /// # Errors
    /// Names the file and what is wrong with it.
    pub fn resume(
        state: State,
        tensors: &HashMap<String, Tensor>,
        data: Dataset,
        folder: &Path,
        device: Device,
    ) -> Result<Self> {
        let config = config::parse(&state.config)?;
        let network = config.network(data.train.shape(), data.classes)?;
        let learner = Learner::restored(&config, &network, data.input_exponent, state.phase, tensors, device)?;
        let guess = guess(&config, &data)?;
        let folder = RunFolder::resume(folder, &state, &data)?;
        Ok(Self { config, data, folder, state, learner, device, guess, learning_rate: 0.0 })
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
    /// Where the loss is not a number any more, memory is not enough, or a file cannot be written; the last checkpoint stays.
    pub fn run(&mut self, observer: &mut dyn Observer) -> Result<Outcome> {
        caught(|| self.epochs(observer)).map_err(|error| match error.downcast::<OutOfMemory>() {
            Ok(error) => Error::from(error).context(self.with_less_memory()),
            Err(error) => error,
        })
    }

    fn epochs(&mut self, observer: &mut dyn Observer) -> Result<Outcome> {
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
        let count = self.data.train.len().div_ceil(self.config.batch_size);
        let mut losses = Losses::new(self.state.sums.loss, self.device);
        let mut good = self.good();
        let mut batches = self.batches();
        while let Some(batch) = batches.next_batch()? {
            let loss = self.step(&batch, false)?;
            losses.add(&loss, batch.codes.size()[0] as usize);
            self.state.batch += 1;
            if losses.are_due(self.state.sums.images == 0) {
                self.look(&mut losses, &good)?;
                good = self.good();
            }
            if observer.batch(&self.progress(count)).is_break() {
                self.look(&mut losses, &good)?;
                return Ok(ControlFlow::Break(()));
            }
        }
        self.look(&mut losses, &good)?;
        Ok(ControlFlow::Continue(()))
    }

    /// The rest of the batches of the pass.
    fn batches(&self) -> Batches {
        let Config { batch_size, augmentation, .. } = self.config;
        Batches::new(&self.data.train, self.stream(), batch_size, self.state.batch, augmentation, self.device)
    }

    /// What is returned to where losses turn out to be lost.
    fn good(&self) -> Good {
        let copy = |(name, tensor): (String, Tensor)| (name, tensor.detach().copy());
        Good { batch: self.state.batch, tensors: self.learner.state().into_iter().map(copy).collect() }
    }

    /// Waits for the losses. Where one is lost, its steps are made again one by one, so that the batch and the layer can be named.
    fn look(&mut self, losses: &mut Losses, good: &Good) -> Result<()> {
        let look = losses.look();
        if look.inputs > 0 && is_lost(look.greatest, self.guess) {
            self.learner.restore(&good.tensors)?;
            self.state.batch = good.batch;
            let mut batches = self.batches();
            while let Some(batch) = batches.next_batch()? {
                let _ = self.step(&batch, true)?;
                self.state.batch += 1;
            }
            bail!("the loss became {}, and did not when the steps were made again", look.greatest);
        }
        self.state.sums = Sums { loss: look.sum, images: self.state.sums.images + look.inputs };
        Ok(())
    }

    /// One step of the optimizer; the loss, on the device.
    fn step(&mut self, batch: &Batch, checked: bool) -> Result<Tensor> {
        let count = self.data.train.len().div_ceil(self.config.batch_size);
        let epoch = self.state.epoch as f64 + self.state.batch as f64 / count as f64;
        let input_step = 2_f64.powi(self.data.input_exponent.into());
        let x = &batch.codes * input_step;
        let goal = Goal::of(self.config.task, batch, input_step);
        let frozen = self.state.epoch >= self.config.quantized.freeze_after;
        let mode = if frozen { Mode::Frozen } else { Mode::Learning };
        let (float, quantized) = (self.config.float.epochs, self.config.quantized.epochs);
        let epochs = if self.state.phase == Phase::Float { float } else { quantized };
        let Stream { seed, epoch: pass } = self.stream();
        let seed = (seed ^ (pass << 32) ^ self.state.batch as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15).cast_signed();
        let place = Place { epoch, epochs, mode, seed, checked: checked.then_some(self.guess) };
        self.learning_rate = self.learner.learning_rate(place);
        let loss = self.learner.step(&self.config, &x, &goal, place);
        loss.with_context(|| format!("{}: lower the learning rate; {}", self.place(), self.kept()))
    }

    /// Where the training is.
    fn place(&self) -> String {
        let State { phase, epoch, batch, .. } = &self.state;
        let is_over = *batch == self.data.train.len().div_ceil(self.config.batch_size);
        let batch = if is_over { "behind its last batch".to_owned() } else { format!("batch {}", batch + 1) };
        format!("{phase:?} epoch {}, {batch}", epoch + 1)
    }

    fn is_saved(&self) -> bool {
        self.folder.file(CHECKPOINT_FILE).exists()
    }

    fn kept(&self) -> &'static str {
        if self.is_saved() { "the last good checkpoint is kept" } else { "there is no checkpoint yet" }
    }

    /// What would take less memory, and how to go on where there is more.
    fn with_less_memory(&self) -> String {
        let Config { batch_size, quantized, .. } = &self.config;
        let calibration = quantized.calibration.filter(|_| self.state.phase == Phase::Quantized);
        let images = calibration.map(|calibration| format!(" or quantized.calibration.images, {}", calibration.images));
        let lower =
            format!("lower batch_size, {batch_size}{}, and train into another folder", images.unwrap_or_default());
        let resume = "; where there is more memory, go on by `stepshift train --resume --out` with this one";
        let resume = if self.is_saved() { resume } else { "" };
        format!("{}: {lower}; {}{resume}", self.place(), self.kept())
    }

    /// Evaluates, records, goes on to the next pass or phase, and saves.
    fn finish_epoch(&mut self, observer: &mut dyn Observer) -> Result<()> {
        let phase = self.state.phase;
        self.refuse_climb()?;
        if phase == Phase::Quantized && self.state.epoch + 1 == self.config.quantized.freeze_after {
            // Exponents are known now: a network that cannot be exported is refused before it is trained on.
            encode(&self.learner.freeze()?.to_fixed_point()?)?;
        }
        // What is evaluated and observed is what goes on to the next phase or into the model: the average, where there is one.
        self.learner.use_average();
        let score = score(&self.learner, &self.config, &self.data, self.device)?;
        let Sums { loss, images } = self.state.sums;
        let record = EpochRecord { phase, epoch: self.state.epoch + 1, loss: loss / images as f64, score };
        observer.epoch(&record);
        let observation = self.observe(&record)?;
        self.learner.use_average();
        self.state.history.push(record);
        self.state.epoch += 1;
        self.state.batch = 0;
        self.state.sums = Sums::default();
        self.change_phase(score, observer)?;
        self.save()?;
        self.folder.record(observation, &self.config, &self.state, &self.data)
    }

    /// Ends a training that has lost what it had learned, before its checkpoint is written over.
    fn refuse_climb(&self) -> Result<()> {
        let State { phase, epoch, history, sums, .. } = &self.state;
        let loss = sums.loss / sums.images as f64;
        let before = history.iter().filter(|record| record.phase == *phase);
        let Some(best) = before.min_by(|a, b| a.loss.total_cmp(&b.loss)) else { return Ok(()) };
        if !has_climbed(loss, best.loss, self.guess) {
            return Ok(());
        }
        let layer = self.learner.diagnosis(&self.inputs(&self.data.train, self.config.batch_size)?)?;
        let quantized = &self.config.quantized;
        let is_frozen = *phase == Phase::Quantized && *epoch >= quantized.freeze_after;
        let freeze = if is_frozen && quantized.batch_norm == BatchNormMode::Corrected {
            ", or freeze later: behind `freeze_after` batches normalize no more"
        } else {
            ""
        };
        bail!(
            "{phase:?} epoch {}: the mean loss climbed to {loss:.3}, worse than a guess, from {:.3} in epoch {}; {layer}: \
             lower the learning rate{freeze}; the last good checkpoint is kept",
            epoch + 1,
            best.loss,
            best.epoch
        )
    }

    /// The first inputs of a set, at most so many, as the network takes them.
    fn inputs(&self, images: &Images, count: usize) -> Result<Tensor> {
        let x = to_tensor(images.range(0..images.len().min(count))?.view());
        Ok(x.to_device(self.device) * 2_f64.powi(self.data.input_exponent.into()))
    }

    /// What the report is to show of a pass.
    fn observe(&self, record: &EpochRecord) -> Result<Observation> {
        let x = self.inputs(&self.data.test, OBSERVED_INPUTS)?;
        let layers = match self.learner.model() {
            Model::Float(network) => recording::of_float(network, &x),
            Model::Quantized(network) => recording::of_quantized(network, &x)?,
        };
        Ok(Observation {
            phase: record.phase.text().to_owned(),
            epoch: record.epoch,
            loss: record.loss,
            score: record.score,
            learning_rate: self.learning_rate,
            layers,
        })
    }

    /// Goes on to the next phase where this one has had all its passes.
    fn change_phase(&mut self, score: Score, observer: &mut dyn Observer) -> Result<()> {
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
        self.begin_quantized(Some(score), observer)
    }

    /// Keeps the float network, and quantizes it.
    fn begin_quantized(&mut self, float_score: Option<Score>, observer: &mut dyn Observer) -> Result<()> {
        self.state.float_score = float_score;
        if let Model::Float(network) = self.learner.model() {
            let state = State { phase: Phase::Float, epoch: self.config.float.epochs, ..self.state.clone() };
            checkpoint::save(&self.folder.file(FLOAT_FILE), &state, &network.state())?;
        }
        (self.state.phase, self.state.epoch) = (Phase::Quantized, 0);
        let network = self.config.network(self.data.train.shape(), self.data.classes)?;
        let blank = Learner::float(&self.config, &network, self.device);
        if let Model::Float(float) = std::mem::replace(&mut self.learner, blank).into_model() {
            self.learner = Learner::quantized(&self.config, float, self.data.input_exponent)?;
        }
        self.calibrate(observer)
    }

    /// Quantizes by some images of the training set, where the config asks for that; with no pass of training that is all.
    fn calibrate(&mut self, observer: &mut dyn Observer) -> Result<()> {
        let Some(calibration) = self.config.quantized.calibration else { return Ok(()) };
        let scale = 2_f64.powi(self.data.input_exponent.into());
        let images = &self.data.train;
        let order = Stream { seed: self.config.seed, epoch: u64::from(u32::MAX) }.order(images.len());
        let chosen = &order[..calibration.images.min(images.len())];
        let batch = |indices: &[usize]| Ok(to_tensor(images.read(indices)?.view()).to_device(self.device) * scale);
        let batches = chosen.chunks(self.config.batch_size).map(batch).collect::<Result<Vec<Tensor>>>()?;
        observer.calibrated(&self.learner.calibrate(&calibration, &batches)?);
        if self.config.quantized.epochs == 0 {
            encode(&self.learner.freeze()?.to_fixed_point()?)?;
            self.state.phase = Phase::Finished;
        }
        Ok(())
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

/// The losses that those of a training are held against.
fn guess(config: &Config, data: &Dataset) -> Result<Guess> {
    if config.task == Task::Classification {
        return Ok(Guess::of_classes(data.classes));
    }
    let moments = |images: &Images| -> Result<Moments> {
        let is_normal = |index: &usize| !data.anomalies.contains(&images.labels()[*index]);
        let normal: Vec<usize> = (0..images.len()).filter(is_normal).collect();
        let every = normal.len().div_ceil(GUESSED_INPUTS).max(1);
        Ok(Moments::of(images.read(&normal.into_iter().step_by(every).collect::<Vec<_>>())?.view()))
    };
    let train = moments(&data.train)?;
    ensure!(train.about_mean() > 0.0, "the training inputs are all alike: there is nothing to reconstruct");
    let is_scored = !data.anomalies.is_empty() || moments(&data.test)?.about_mean() > 0.0;
    ensure!(is_scored, "the test inputs are all alike: they have no variance that a reconstruction could explain");
    Ok(Guess::of_inputs(&train, 2_f64.powi(data.input_exponent.into())))
}

/// The layer that takes most of the memory of the weights.
fn most_weights(network: &Network) -> String {
    let count = |layer: &Layer| {
        let shape = weight_shape(layer, network.shape(layer.inputs[0]));
        shape.map_or(0.0, |shape| shape.iter().map(|extent| *extent as f64).product::<f64>())
    };
    let most = network.layers.iter().max_by(|a, b| count(a).total_cmp(&count(b)));
    most.map_or(String::new(), |layer| format!("layer {} has the most weights, {:e}", layer.name, count(layer)))
}

/// Takes over the weights of another run's float network; the state that it was saved with.
fn adopt(path: &Path, config: &Config, learner: &Learner) -> Result<State> {
    let (state, tensors) = checkpoint::load(path)?;
    let other = config::parse(&state.config)?;
    let (own, others) = (config.dataset.text(), other.dataset.text());
    ensure!(own == others, "the float network was trained on {others}, and the config is for {own}");
    let (own, others) = (config.task.text(), other.task.text());
    ensure!(own == others, "the float network was trained for {others}, and the config is for {own}");
    let (own, others) = (&config.anomalies, other.anomalies);
    ensure!(*own == others, "the float network was trained with the anomalies {others:?}, and the config has {own:?}");
    if let Model::Float(network) = learner.model() {
        restore(&network.state(), |name| tensors.get(name).map(Tensor::shallow_clone))
            .context("the float network is not that of the config")?;
    }
    Ok(state)
}

/// The quantized network of a checkpoint whose quantized training has begun.
///
/// # Errors
/// Names what is missing.
pub fn quantized_network(state: &State, tensors: &HashMap<String, Tensor>, data: &Dataset) -> Result<QuantizedNetwork> {
    let config = config::parse(&state.config)?;
    let is_chosen = match state.phase {
        Phase::Float => false,
        Phase::Quantized => state.epoch > 0 || state.batch > 0 || config.quantized.calibration.is_some(),
        Phase::Finished => true,
    };
    ensure!(is_chosen, UNFINISHED);
    let network = config.network(data.train.shape(), data.classes)?;
    match Learner::restored(&config, &network, data.input_exponent, state.phase, tensors, Device::Cpu)?.into_model() {
        Model::Quantized(network) => Ok(network),
        Model::Float(_) => bail!(UNFINISHED),
    }
}
