//! The integer model against the exact forward: every code of every layer, every image.

use std::thread;

use anyhow::{Context, Result};
use ndarray::{Array4, ArrayView4, Axis, s};
use stepshift_runtime::format::Element;
use stepshift_runtime::{Codes, Model, Session, Vectors, argmax, crc32};

use super::quantized_network::QuantizedNetwork;
use crate::data::Images;
use crate::export::Sample;

/// Images in a batch of the exact forward.
const BATCH: usize = 100;

/// What an evaluation found.
#[derive(Debug, Clone, PartialEq)]
pub struct Evaluation {
    /// Percent of images whose argmax is their label, by the integer model.
    pub accuracy: f64,
    /// Images compared.
    pub images: usize,
    /// Tensors compared, of all images.
    pub tensors: usize,
    /// The first code that differs, if one does.
    pub difference: Option<Difference>,
}

/// A code that differs between the integer model and the exact forward.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    /// Index of the image.
    pub image: usize,
    /// Name of the layer.
    pub layer: String,
    /// Index of the code in the layer's output, `[H, W, C]`.
    pub index: usize,
    /// The integer model's code.
    pub model: i16,
    /// The exact forward's code.
    pub exact: i16,
}

/// Runs every image through the integer model and the exact forward and compares every tensor.
///
/// `progress` is told how many images are done.
///
/// # Errors
/// Where the model is for inputs of another shape, or libtorch fails.
pub fn evaluate(
    network: &QuantizedNetwork,
    model: Model<'_>,
    images: &Images,
    mut progress: impl FnMut(usize),
) -> Result<Evaluation> {
    anyhow::ensure!(
        model.input().shape == images.shape() && model.node_count() == network.network().layers.len(),
        "the model is not one of this checkpoint: its input or its number of layers differs"
    );
    let mut result = Evaluation { accuracy: 0.0, images: 0, tensors: 0, difference: None };
    let mut right = 0;
    for start in (0..images.len()).step_by(BATCH) {
        let end = (start + BATCH).min(images.len());
        let codes = images.codes.slice(s![start..end, .., .., ..]);
        let exact = network.exact_codes(codes)?;
        for (offset, found) in compare(model, codes, &exact)?.into_iter().enumerate() {
            right += usize::from(found.class == usize::from(images.labels[start + offset]));
            if let (None, Some(difference)) = (&result.difference, found.difference) {
                result.difference = Some(Difference { image: start + offset, ..difference });
            }
        }
        result.images = end;
        result.tensors += (end - start) * model.node_count();
        progress(end);
    }
    result.accuracy = 100.0 * right as f64 / images.len() as f64;
    Ok(result)
}

struct Found {
    class: usize,
    difference: Option<Difference>,
}

/// Compares a batch on all cores.
fn compare(model: Model<'_>, codes: ArrayView4<'_, i8>, exact: &[Array4<i16>]) -> Result<Vec<Found>> {
    let cores = thread::available_parallelism().map_or(1, usize::from);
    let share = codes.len_of(Axis(0)).div_ceil(cores);
    thread::scope(|scope| {
        let workers: Vec<_> = codes
            .axis_chunks_iter(Axis(0), share)
            .enumerate()
            .map(|(worker, codes)| {
                scope.spawn(move || {
                    let first = worker * share;
                    codes
                        .axis_iter(Axis(0))
                        .enumerate()
                        .map(|(i, image)| compare_image(model, image, exact, first + i))
                        .collect()
                })
            })
            .collect();
        let found = workers.into_iter().map(|worker| worker.join().ok().context("a worker panicked")?);
        Ok(found.collect::<Result<Vec<Vec<Found>>>>()?.into_iter().flatten().collect())
    })
}

fn compare_image(
    model: Model<'_>,
    codes: ndarray::ArrayView3<'_, i8>,
    exact: &[Array4<i16>],
    image: usize,
) -> Result<Found> {
    let mut arena = vec![0; model.arena_bytes()];
    let mut session = Session::new(model, &mut arena)?;
    session.input_mut().copy_from(codes.iter().copied());
    let mut difference = None;
    session.run_observed(|output| {
        let expected = exact[output.index].index_axis(Axis(0), image);
        let differs = output.codes.iter().zip(expected).position(|(model, exact)| model != *exact);
        if let (None, Some(index)) = (&difference, differs) {
            difference = Some(Difference {
                image,
                layer: output.node.name.to_owned(),
                index,
                model: output.codes.get(index).unwrap_or_default(),
                exact: expected.iter().nth(index).copied().unwrap_or_default(),
            });
        }
    });
    Ok(Found { class: argmax(session.output()), difference })
}

/// The first image with the digests of the *exact forward*: a model's certificate.
///
/// # Errors
/// Those of libtorch.
pub fn sample(network: &QuantizedNetwork, images: &Images) -> Result<Sample> {
    let image = images.codes.slice(s![..1, .., .., ..]);
    let layers = network.exact_codes(image)?;
    let digests = layers.iter().map(|layer| crc32(&bytes(layer.iter().copied()))).collect();
    Ok(Sample { input: bytes(image.iter().map(|code| i16::from(*code))), digests })
}

/// A vectors file for the first images: inputs, and digests and classes of the *exact forward*.
///
/// # Errors
/// Those of libtorch.
pub fn golden_vectors(network: &QuantizedNetwork, model: Model<'_>, images: &Images, limit: usize) -> Result<Vec<u8>> {
    let count = limit.min(images.len());
    let codes = images.codes.slice(s![..count, .., .., ..]);
    let exact = network.exact_codes(codes)?;
    let contiguous = |codes: ndarray::ArrayView3<'_, i16>| bytes(codes.iter().copied());
    let (mut digests, mut classes) = (Vec::new(), Vec::new());
    for image in 0..count {
        for layer in &exact {
            digests.extend(crc32(&contiguous(layer.index_axis(Axis(0), image))).to_le_bytes());
        }
        let output = exact.last().context("there are no layers")?;
        let output = contiguous(output.index_axis(Axis(0), image));
        let class = argmax(Codes::new(Element::I8, &output));
        classes.extend(u16::try_from(class)?.to_le_bytes());
    }
    let inputs = bytes(codes.iter().map(|code| i16::from(*code)));
    let vectors = Vectors::new(model.crc(), model.node_count(), &inputs, &digests, &classes)?;
    Ok(postcard::to_stdvec(&vectors)?)
}

/// Codes of 8 bits as they lie in an arena.
fn bytes(codes: impl Iterator<Item = i16>) -> Vec<u8> {
    codes.map(|code| code.to_le_bytes()[0]).collect()
}
