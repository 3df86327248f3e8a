//! What quantization does to each layer: saturation, noise, and whether a model file agrees.

use anyhow::{Context, Result, ensure};
use ndarray::{ArrayView4, Axis};
use stepshift_runtime::{Model, Session};
use tch::{Kind, Tensor};

use super::batches::to_tensor;
use super::quantized_network::QuantizedNetwork;
use crate::export::steps::{self, Step};

/// One layer over some images.
#[derive(Debug, Clone, PartialEq)]
pub struct LayerReport {
    /// Its name.
    pub name: String,
    /// log2 of the step of its output, rounded down.
    pub exponent: i32,
    /// Percent of the codes that are the least or the greatest of their width; the 0 of an activation is not one.
    pub saturated: f64,
    /// Signal to quantization noise in decibels, against the same weights in floating point; infinite where there is no noise.
    pub signal_to_noise: f64,
    /// The first code that the model has otherwise than the checkpoint's exact forward.
    pub difference: Option<LayerDifference>,
}

/// A code of a model that is not the checkpoint's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LayerDifference {
    /// Index of the image.
    pub image: usize,
    /// Index of the code in the layer's output, or in the patch of it that a step computes, `[H, W, C]`.
    pub index: usize,
    /// The model's code.
    pub model: i16,
    /// The exact forward's code.
    pub exact: i16,
}

/// Reports every layer over a batch of images.
///
/// images  `[N, H, W, C]` input codes
///
/// # Errors
/// Where the model is not one of this network.
pub fn layer_reports<C: Copy + Into<f32> + Into<i16>>(
    network: &QuantizedNetwork,
    model: Model<'_>,
    images: ArrayView4<'_, C>,
) -> Result<Vec<LayerReport>> {
    let layers = &network.network().layers;
    ensure!(
        model.input().shape == network.network().input && steps::tensors(model).iter().max() == Some(&layers.len()),
        "the model is not one of this checkpoint: its input or its number of layers differs"
    );
    let fixed = network.to_fixed_point()?;
    let x = to_tensor(images) * network.input_step();
    let real = network.real_forward(&x)?;
    let quantized = network.exact_forward(&x)?;
    let exact = network.exact_codes(images)?;
    let steps = steps::steps(model, |tensor| network.network().shape(tensor));
    let differences = differences(model, &steps, images, &exact)?;
    let report = |(index, layer): (usize, &crate::network::Layer)| {
        let output = fixed.tensor(index + 1);
        let (least, greatest) = (fixed.layers[index].activation.min, fixed.layers[index].activation.max);
        let saturates = |code: &&i16| **code == greatest || **code == least && least < output.zero;
        let codes = &exact[index];
        LayerReport {
            name: layer.name.clone(),
            exponent: output.log2_step(),
            saturated: 100.0 * codes.iter().filter(saturates).count() as f64 / codes.len() as f64,
            signal_to_noise: decibels(&real[index + 1], &quantized[index + 1]),
            difference: differences[index],
        }
    };
    Ok(layers.iter().enumerate().map(report).collect())
}

/// `10 * log10(signal / noise)`.
fn decibels(real: &Tensor, quantized: &Tensor) -> f64 {
    let power = |values: Tensor| values.to_kind(Kind::Double).square().sum(Kind::Double).double_value(&[]);
    10.0 * (power(real.shallow_clone()) / power(quantized - real)).log10()
}

/// The first difference of each layer.
fn differences<C: Copy + Into<i16>>(
    model: Model<'_>,
    steps: &[Step],
    images: ArrayView4<'_, C>,
    exact: &[ndarray::Array4<i16>],
) -> Result<Vec<Option<LayerDifference>>> {
    let mut found = vec![None; exact.len()];
    let mut arena = vec![0; model.arena_bytes()];
    for (image, codes) in images.axis_iter(Axis(0)).enumerate() {
        let mut session = Session::new(model, &mut arena).context("the model does not start")?;
        session.input_mut().copy_from(codes.iter().map(|code| (*code).into()));
        let input = codes.iter().map(|code| (*code).into()).collect();
        let layers = exact.iter().map(|layer| layer.index_axis(Axis(0), image).iter().copied().collect());
        let tensors: Vec<Vec<i16>> = std::iter::once(input).chain(layers).collect();
        session.run_observed(|output| {
            let step = &steps[output.step];
            let Some(layer) = step.tensor.checked_sub(1) else { return };
            let differs =
                output.codes.iter().zip(step.codes(&tensors)).enumerate().find(|(_, (model, exact))| model != exact);
            if let (None, Some((index, (model, exact)))) = (&found[layer], differs) {
                found[layer] = Some(LayerDifference { image, index, model, exact });
            }
        });
    }
    Ok(found)
}
