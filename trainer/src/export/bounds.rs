//! Accumulator bounds: the proof that 32 bits suffice. Spec 2.2.

use stepshift_runtime::arithmetic::{MAX_ABS_CODE, MAX_SHIFT};

use super::fixed_point::{FixedPointNetwork, FixedPointOp, FixedPointWeights};
use super::{ExportError, FixedPointLayer};

/// The greatest value that one channel's accumulator can reach, rounding constant included.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ChannelBound {
    /// Output channel.
    pub channel: usize,
    /// `sum|w| * max|x| + |bias|`.
    pub bound: i128,
    /// Shift from the accumulator to the output's codes.
    pub right_shift: i8,
}

/// Bounds of every channel of a layer with weights; empty for the other operators.
///
/// # Errors
/// [`ExportError::AccumulatorOverflow`] or [`ExportError::Shift`], with layer and channel.
pub fn channel_bounds(network: &FixedPointNetwork, layer: &FixedPointLayer) -> Result<Vec<ChannelBound>, ExportError> {
    let Some(weights) = layer.op.weights() else { return Ok(Vec::new()) };
    let input = network.tensor(layer.inputs[0]);
    let out_ch = weights.bias.len();
    let depthwise = matches!(layer.op, FixedPointOp::DepthwiseConv2d { .. });
    (0..out_ch)
        .map(|channel| {
            let shift =
                i32::from(layer.output.exponent) - (i32::from(input.exponent) + i32::from(weights.exponents[channel]));
            let right_shift = i8::try_from(shift).ok().filter(|shift| (-MAX_SHIFT..=MAX_SHIFT).contains(shift));
            let right_shift = right_shift.ok_or_else(|| ExportError::Shift {
                layer: layer.name.clone(),
                channel,
                right_shift: shift,
            })?;
            let bias = i128::from(weights.bias[channel]) + i128::from(rounding(right_shift));
            let bound = magnitude(weights, channel, depthwise) * i128::from(MAX_ABS_CODE) + bias.abs();
            if bound > i128::from(i32::MAX) {
                return Err(ExportError::AccumulatorOverflow { layer: layer.name.clone(), channel, bound });
            }
            Ok(ChannelBound { channel, bound, right_shift })
        })
        .collect()
}

/// The rounding constant `2^(right_shift - 1)`. Spec 3.2.
#[must_use]
pub fn rounding(right_shift: i8) -> i64 {
    stepshift_runtime::arithmetic::rounding(right_shift).into()
}

/// `sum|w|` of one output channel.
fn magnitude(weights: &FixedPointWeights, channel: usize, depthwise: bool) -> i128 {
    let out_ch = weights.bias.len();
    let sum: i64 = if depthwise {
        weights.codes.iter().skip(channel).step_by(out_ch).map(|code| i64::from(code.unsigned_abs())).sum()
    } else {
        let len = weights.codes.len() / out_ch;
        weights.codes[channel * len..][..len].iter().map(|code| i64::from(code.unsigned_abs())).sum()
    };
    sum.into()
}
