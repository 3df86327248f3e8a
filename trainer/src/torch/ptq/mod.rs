//! Quantization behind a float training without training on (Nagel et al. 2021, "A white paper on neural network quantization", 3).
//!
//! `equalize` evens out the ranges of channels, ranges are calibrated on some images, `adaround` chooses between rounding down and up
//! weight by weight, `bias_correction` takes the mean error back. What the first and the third change stays where it lessens the error
//! on these images. Quantized training may go on from there.

mod adaround;
mod bias_correction;
mod equalize;

use anyhow::Result;
use serde::Serialize;
use tch::Tensor;

use super::quantized_network::{Mode, QuantizedNetwork};
use crate::config::CalibrationConfig;

/// What is done, for a display of progress.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// Ranges of channels.
    Equalize,
    /// Ranges.
    Calibrate,
    /// Rounding of a layer's weights, by its number.
    Round(usize),
    /// Biases.
    Correct,
}

/// What each part did, by the names of layers.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Report {
    /// Pairs of layers whose channels are evened out.
    pub equalized: Vec<[String; 2]>,
    /// Pairs that stay as they were: without their equalization the output's error is less.
    pub left: Vec<[String; 2]>,
    /// Layers whose weights round as they learned to.
    pub learned: Vec<String>,
    /// Layers that keep the nearest codes: learned rounding did not lessen their error.
    pub nearest: Vec<String>,
}

/// Quantizes a network by batches of inputs, without labels.
///
/// batches  each `[N, C, H, W]`, input codes times their step
///
/// # Errors
/// Those of libtorch.
pub fn quantize(
    network: &mut QuantizedNetwork,
    batches: &[Tensor],
    config: &CalibrationConfig,
    mut progress: impl FnMut(Stage),
) -> Result<Report> {
    let mut report = Report::default();
    let name = |network: &QuantizedNetwork, layer: usize| network.network().layers[layer].name.clone();
    if config.equalize {
        progress(Stage::Equalize);
        for (pair, is_kept) in equalize::equalize(network, batches)? {
            let list = if is_kept { &mut report.equalized } else { &mut report.left };
            list.push(pair.map(|layer| name(network, layer)));
        }
    }
    progress(Stage::Calibrate);
    calibrate(network, batches)?;
    if config.adaround_steps > 0 {
        for layer in 0..network.network().layers.len() {
            progress(Stage::Round(layer));
            if let Some(is_learned) = adaround::round_layer(network, layer, batches, config.adaround_steps)? {
                let list = if is_learned { &mut report.learned } else { &mut report.nearest };
                list.push(name(network, layer));
            }
        }
    }
    if config.bias_correction {
        progress(Stage::Correct);
        bias_correction::correct(network, batches)?;
    }
    Ok(report)
}

/// Fixes every step from the ranges of the batches.
fn calibrate(network: &mut QuantizedNetwork, batches: &[Tensor]) -> Result<()> {
    tch::no_grad(|| batches.iter().try_for_each(|batch| network.train_tensors(batch, Mode::Learning).map(drop)))?;
    network.freeze();
    Ok(())
}

#[cfg(test)]
mod tests;
