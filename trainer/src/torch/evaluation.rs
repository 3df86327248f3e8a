//! The integer model against the exact forward: every code of every layer, every image.

use std::thread;

use anyhow::{Context, Result, ensure};
use ndarray::{Array4, ArrayView4, Axis};
use stepshift_runtime::{Codes, Model, Session, Vectors, argmax, squared_error};

use super::quantized_network::QuantizedNetwork;
use crate::config::Task;
use crate::data::{Dataset, Images};
use crate::export::heads::Head;
use crate::export::steps::{Step, arena_bytes_of, steps, tensors};
use crate::reconstruction::Errors;
use crate::score::Score;

/// Images in a batch of the exact forward.
const BATCH: usize = 100;

/// What an evaluation found.
#[derive(Debug, Clone)]
pub struct Evaluation {
    /// Of the integer model.
    pub score: Score,
    /// The errors by [`squared_error`], where the network reconstructs.
    pub reconstruction: Option<Reconstruction>,
    /// Images compared.
    pub images: usize,
    /// Tensors compared, of all images; of layers that run patch by patch, each part.
    pub tensors: usize,
    /// The first code that differs, if one does.
    pub difference: Option<Difference>,
}

/// What firmware finds of the images' errors.
#[derive(Debug, Clone)]
pub struct Reconstruction {
    /// In squared steps of this exponent, the finer of the input's and the output's.
    pub exponent: i8,
    /// Of every image.
    pub errors: Errors<u64>,
}

impl Reconstruction {
    fn score(&self, input_exponent: i8) -> Score {
        let steps = 4_f64.powi(i32::from(self.exponent) - i32::from(input_exponent));
        self.errors.score(|error| error as f64 * steps)
    }
}

/// A code that differs between the integer model and the exact forward.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    /// Index of the image.
    pub image: usize,
    /// Name of the layer.
    pub layer: String,
    /// Index of the code in what the step wrote, `[H, W, C]`.
    pub index: usize,
    /// The integer model's code.
    pub model: i16,
    /// The exact forward's code.
    pub exact: i16,
}

/// Runs every test image through the integer model and the exact forward and compares every tensor.
///
/// `progress` is told how many images are done.
///
/// # Errors
/// Where the model is for inputs of another shape, a reconstruction ends in a head, or libtorch fails.
pub fn evaluate(
    network: &QuantizedNetwork,
    model: Model<'_>,
    data: &Dataset,
    task: Task,
    mut progress: impl FnMut(usize),
) -> Result<Evaluation> {
    let images = &data.test;
    ensure!(
        model.input().shape == images.shape() && tensors(model).iter().max() == Some(&tensor_count(network, model)),
        "the model is not one of this checkpoint: its input or its number of layers differs"
    );
    let steps = steps_of(network, model);
    ensure!(
        task == Task::Classification || Head::of(model).is_none(),
        "the model ends in a head for classes: export a network that reconstructs without one"
    );
    let (input_exponent, output_exponent) = (model.input().exponent, model.output().exponent);
    let (mut right, mut errors, mut difference) = (0, Errors::default(), None);
    for start in (0..images.len()).step_by(BATCH) {
        let end = (start + BATCH).min(images.len());
        let codes = images.range(start..end)?;
        let exact = network.exact_codes(codes.view())?;
        for (offset, found) in compare(model, &steps, codes.view(), &exact)?.into_iter().enumerate() {
            let label = images.labels()[start + offset];
            right += usize::from(found.class == usize::from(label));
            if task == Task::Reconstruction {
                let is_anomaly = data.anomalies.contains(&label);
                errors.add(codes.index_axis(Axis(0), offset), is_anomaly, found.error);
            }
            if let (None, Some(found)) = (&difference, found.difference) {
                difference = Some(Difference { image: start + offset, ..found });
            }
        }
        progress(end);
    }
    let accuracy = Score::Accuracy(100.0 * right as f64 / images.len() as f64);
    let exponent = input_exponent.min(output_exponent);
    let reconstruction = (task == Task::Reconstruction).then_some(Reconstruction { exponent, errors });
    Ok(Evaluation {
        score: reconstruction.as_ref().map_or(accuracy, |reconstruction| reconstruction.score(input_exponent)),
        reconstruction,
        images: images.len(),
        tensors: images.len() * model.step_count(),
        difference,
    })
}

struct Found {
    class: usize,
    /// Of the output against the input.
    error: u64,
    difference: Option<Difference>,
}

/// Compares a batch on all cores.
fn compare(model: Model<'_>, steps: &[Step], codes: ArrayView4<'_, i8>, exact: &[Array4<i16>]) -> Result<Vec<Found>> {
    let cores = thread::available_parallelism().map_or(1, usize::from);
    let share = codes.len_of(Axis(0)).div_ceil(cores);
    thread::scope(|scope| {
        let workers: Vec<_> = codes
            .axis_chunks_iter(Axis(0), share)
            .enumerate()
            .map(|(worker, codes)| {
                scope.spawn(move || -> Result<Vec<Found>> {
                    let first = worker * share;
                    let mut arena = vec![0; model.arena_bytes()];
                    let mut session = Session::new(model, &mut arena)?;
                    let images = codes.axis_iter(Axis(0)).enumerate();
                    Ok(images.map(|(i, image)| compare_image(&mut session, steps, image, exact, first + i)).collect())
                })
            })
            .collect();
        let found = workers.into_iter().map(|worker| worker.join().ok().context("a worker panicked")?);
        Ok(found.collect::<Result<Vec<Vec<Found>>>>()?.into_iter().flatten().collect())
    })
}

fn compare_image(
    session: &mut Session<'_, '_>,
    steps: &[Step],
    codes: ndarray::ArrayView3<'_, i8>,
    exact: &[Array4<i16>],
    image: usize,
) -> Found {
    let model = session.model();
    let tensors = with_head(model, tensors_of(codes, exact, image));
    session.reset();
    session.input_mut().copy_from(codes.iter().copied());
    let mut difference = None;
    session.run_observed(|output| {
        let expected = || steps[output.step].codes(&tensors);
        let differs = output.codes.iter().zip(expected()).position(|(model, exact)| model != exact);
        if let (None, Some(index)) = (&difference, differs) {
            difference = Some(Difference {
                image,
                layer: output.name.to_string(),
                index,
                model: output.codes.get(index).unwrap_or_default(),
                exact: expected().nth(index).unwrap_or_default(),
            });
        }
    });
    let class = match Head::of(model) {
        Some(Head::Argmax) => session.output().get(0).and_then(|code| usize::try_from(code).ok()).unwrap_or(0),
        _ => argmax(session.output()),
    };
    let input: Vec<i8> = codes.iter().copied().collect();
    let (x, y) = (model.input().exponent, model.output().exponent);
    let error = squared_error(Codes::from_i8(&input), x, session.output(), y);
    Found { class, error, difference }
}

/// The steps of a model of this network.
fn steps_of(network: &QuantizedNetwork, model: Model<'_>) -> Vec<Step> {
    let layers = network.network().layers.len();
    steps(model, |tensor| if tensor > layers { model.output().shape } else { network.network().shape(tensor) })
}

/// Layers of the network, and the head of the model.
fn tensor_count(network: &QuantizedNetwork, model: Model<'_>) -> usize {
    network.network().layers.len() + usize::from(Head::of(model).is_some())
}

/// The tensors of the network with what the model's head makes of the last.
fn with_head(model: Model<'_>, mut tensors: Vec<Vec<i16>>) -> Vec<Vec<i16>> {
    let logits = model.tensor(model.node_count() - 1).zip(tensors.last());
    if let (Some(head), Some((input, logits))) = (Head::of(model), logits) {
        tensors.push(head.codes(&input, logits));
    }
    tensors
}

/// Codes of every tensor for one image of a batch, input first.
fn tensors_of(codes: ndarray::ArrayView3<'_, i8>, exact: &[Array4<i16>], image: usize) -> Vec<Vec<i16>> {
    let input = codes.iter().map(|code| i16::from(*code)).collect();
    let layers = exact.iter().map(|layer| layer.index_axis(Axis(0), image).iter().copied().collect());
    std::iter::once(input).chain(layers).collect()
}

/// Codes of every tensor of the *exact forward* for the first image: what a model's certificate is made of.
///
/// # Errors
/// Those of libtorch.
pub fn sample(network: &QuantizedNetwork, images: &Images) -> Result<Vec<Vec<i16>>> {
    let image = images.range(0..1)?;
    Ok(tensors_of(image.index_axis(Axis(0), 0), &network.exact_codes(image.view())?, 0))
}

/// A vectors file for the first images: inputs, and digests and classes of the *exact forward*.
///
/// # Errors
/// Those of libtorch.
pub fn golden_vectors(network: &QuantizedNetwork, model: Model<'_>, images: &Images, limit: usize) -> Result<Vec<u8>> {
    let count = limit.min(images.len());
    let codes = images.range(0..count)?;
    let exact = network.exact_codes(codes.view())?;
    let steps = steps_of(network, model);
    let (mut digests, mut classes) = (Vec::new(), Vec::new());
    for image in 0..count {
        let tensors = with_head(model, tensors_of(codes.index_axis(Axis(0), image), &exact, image));
        digests.extend(steps.iter().flat_map(|step| step.digest(&tensors).to_le_bytes()));
        let output = arena_bytes_of(model.output().element, tensors.last().context("there are no layers")?);
        let class = argmax(Codes::new(model.output().element, &output));
        let class = u16::try_from(class).context("vectors hold the index of the greatest of 65,536 outputs at most")?;
        classes.extend(class.to_le_bytes());
    }
    let inputs: Vec<i16> = codes.iter().map(|code| i16::from(*code)).collect();
    let inputs = arena_bytes_of(model.input().element, &inputs);
    let vectors = Vectors::new(model.crc(), model.step_count(), &inputs, &digests, &classes)?;
    Ok(postcard::to_stdvec(&vectors)?)
}
