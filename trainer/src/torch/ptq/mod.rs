//! Quantization behind a float training without training on (Nagel et al. 2021, "A white paper on neural network quantization", 3).
//!
//! `equalize` evens out the ranges of channels, ranges are calibrated on some images, `adaround` chooses between rounding down and up
//! weight by weight, `bias_correction` takes the mean error back. Quantized training may go on from there.

mod adaround;
mod bias_correction;
mod equalize;

use anyhow::Result;
use tch::Tensor;

use super::quantized_network::{Mode, QuantizedNetwork};
use crate::config::CalibrationConfig;

/// What is done, for a display of progress.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// Ranges.
    Calibrate,
    /// Rounding of a layer's weights, by its number.
    Round(usize),
    /// Biases.
    Correct,
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
) -> Result<()> {
    if config.equalize {
        equalize::equalize(network);
    }
    progress(Stage::Calibrate);
    tch::no_grad(|| batches.iter().try_for_each(|batch| network.train_tensors(batch, Mode::Learning).map(drop)))?;
    network.freeze();
    if config.adaround_steps > 0 {
        for layer in 0..network.network().layers.len() {
            progress(Stage::Round(layer));
            adaround::round_layer(network, layer, batches, config.adaround_steps)?;
        }
    }
    if config.bias_correction {
        progress(Stage::Correct);
        bias_correction::correct(network, batches)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests;
