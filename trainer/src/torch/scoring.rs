//! How well a network does on the test inputs, by the training forward.

use anyhow::{Context, Result, ensure};
use ndarray::Axis;
use tch::{Device, Kind, Tensor};

use super::batches::to_tensor;
use super::learner::Learner;
use super::operators::flattened;
use crate::config::{Config, Task};
use crate::data::Dataset;
use crate::data::loader::{Batch, Loader, worker_count};
use crate::reconstruction::Errors;
use crate::score::Score;

/// Images in a batch of an evaluation, at most: it is to take no more memory than a step.
const EVALUATION_BATCH: usize = 500;

/// The score of a pass.
///
/// # Errors
/// Names a file that cannot be read; those of libtorch.
pub fn score(learner: &Learner, config: &Config, data: &Dataset, device: Device) -> Result<Score> {
    let batch_size = config.batch_size.min(EVALUATION_BATCH);
    let step = 2_f64.powi(data.input_exponent.into());
    let batches = Loader::new(&data.test, (0..data.test.len()).collect(), batch_size, worker_count());
    let outputs = batches.map(|batch| {
        let batch = batch.context("a test input cannot be read")?;
        let x = to_tensor(batch.codes.view()).to_device(device) * step;
        let outputs = learner.outputs(&x)?;
        Ok((batch, x, outputs))
    });
    match config.task {
        Task::Classification => accuracy(outputs, data.test.len()),
        Task::Reconstruction => reconstruction(outputs, data, step),
    }
}

/// Percent of images whose greatest output is their label.
fn accuracy(batches: impl Iterator<Item = Result<(Batch, Tensor, Tensor)>>, images: usize) -> Result<Score> {
    let mut right = 0;
    for batch in batches {
        let (batch, _, logits) = batch?;
        let classes = Vec::<i64>::try_from(logits.argmax(1, false))?;
        right += classes.iter().zip(&batch.labels).filter(|(class, label)| **class == i64::from(**label)).count();
    }
    Ok(Score::Accuracy(100.0 * right as f64 / images as f64))
}

fn reconstruction(
    batches: impl Iterator<Item = Result<(Batch, Tensor, Tensor)>>,
    data: &Dataset,
    step: f64,
) -> Result<Score> {
    let mut errors = Errors::default();
    for batch in batches {
        let (batch, x, outputs) = batch?;
        let difference = (outputs - flattened(&x)).to_kind(Kind::Double);
        let squared = difference.square().sum_dim_intlist([1].as_slice(), false, Kind::Double);
        let inputs = batch.codes.axis_iter(Axis(0)).zip(&batch.labels);
        for ((codes, label), error) in inputs.zip(Vec::<f64>::try_from(squared)?) {
            ensure!(error.is_finite(), "the reconstruction of a test input is not finite: lower the learning rate");
            errors.add(codes, data.anomalies.contains(label), error);
        }
    }
    Ok(errors.score(|error| error / (step * step)))
}
