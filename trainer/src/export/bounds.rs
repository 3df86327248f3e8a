//! Accumulator bounds: the proof that 32 bits suffice. Spec 2.2.

use stepshift_runtime::arithmetic::{self, MAX_SHIFT, Requantizer};

use super::affine::{quantized_multiplier, scale_error};
use super::fixed_point::{FixedPointNetwork, FixedPointOp, FixedPointTensor, FixedPointWeights};
use super::{ExportError, FixedPointLayer};

/// What one channel's accumulator starts from, can reach, and ends in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ChannelBound {
    /// Output channel.
    pub channel: usize,
    /// First value, with the rounding constant or the input's zero point folded in.
    pub bias: i32,
    /// `sum|w| * max|x| + |bias|`, and what the requantizer shifts left of it.
    pub bound: i128,
    /// From the accumulator to a code.
    pub requantizer: Requantizer,
}

/// Bounds of every channel of a layer with weights; empty for the other operators.
///
/// # Errors
/// [`ExportError::AccumulatorOverflow`], [`ExportError::Shift`] or [`ExportError::Scale`], with layer and channel.
pub fn channel_bounds(network: &FixedPointNetwork, layer: &FixedPointLayer) -> Result<Vec<ChannelBound>, ExportError> {
    let Some(weights) = layer.op.weights() else { return Ok(Vec::new()) };
    let input = network.tensor(layer.inputs[0]);
    (0..weights.bias.len()).map(|channel| channel_bound(layer, weights, input, channel)).collect()
}

fn channel_bound(
    layer: &FixedPointLayer,
    weights: &FixedPointWeights,
    input: FixedPointTensor,
    channel: usize,
) -> Result<ChannelBound, ExportError> {
    let powers = weights.mantissas.is_empty() && input.is_power_of_two() && layer.output.is_power_of_two();
    let (requantizer, folded, left) = if powers {
        let right_shift = right_shift(layer, weights, input, channel)?;
        (Requantizer::Shift(right_shift), i64::from(arithmetic::rounding(right_shift)), 0)
    } else {
        let (multiplier, shift) = multiplier(layer, weights, input, channel)?;
        let sum: i64 = codes(layer, weights, channel).map(i64::from).sum();
        let zero = layer.output.zero;
        (Requantizer::Multiply { multiplier, shift, zero }, -i64::from(input.zero) * sum, shift.max(0))
    };
    let magnitude: i64 = codes(layer, weights, channel).map(|code| i64::from(code.unsigned_abs())).sum();
    let bias = i128::from(weights.bias[channel]) + i128::from(folded);
    let bound = (i128::from(magnitude) * i128::from(input.element.max_abs()) + bias.abs()) << left;
    match i32::try_from(bias) {
        Ok(bias) if bound <= i128::from(i32::MAX) => Ok(ChannelBound { channel, bias, bound, requantizer }),
        _ => Err(ExportError::AccumulatorOverflow { layer: layer.name.clone(), channel, bound }),
    }
}

/// The narrowest floating point in which a layer's sums of products are exact, in any order. Spec 5.1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum ExactIn {
    /// Operands of 8 significant bits, sums of 24.
    Bf16,
    /// Operands of 11 significant bits, sums of 24.
    Tf32,
    /// Sums of 24 significant bits.
    F32,
    /// Sums of 53 significant bits: what the exact forward has.
    F64,
}

impl ExactIn {
    /// As users know it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Bf16 => "bf16",
            Self::Tf32 => "tf32",
            Self::F32 => "f32",
            Self::F64 => "f64",
        }
    }
}

/// Where a layer's sums of products are exact; `None` for one without them, or whose steps are no powers of two.
///
/// bounds  of its channels
#[must_use]
pub fn exact_in(network: &FixedPointNetwork, layer: &FixedPointLayer, bounds: &[ChannelBound]) -> Option<ExactIn> {
    let weights = layer.op.weights().filter(|weights| weights.mantissas.is_empty())?;
    let input = network.tensor(layer.inputs[0]);
    let worst = bounds.iter().map(|channel| channel.bound).max().filter(|_| input.is_power_of_two())?;
    let greatest_code = weights.codes.iter().map(|code| i64::from(code.unsigned_abs())).max().unwrap_or(0);
    let operand = greatest_code.max(input.element.max_abs());
    Some(match (worst <= 1 << 24, operand) {
        (false, _) => ExactIn::F64,
        (true, ..=256) => ExactIn::Bf16,
        (true, ..=2048) => ExactIn::Tf32,
        (true, _) => ExactIn::F32,
    })
}

/// The right shift of a channel. Spec 3.1.
fn right_shift(
    layer: &FixedPointLayer,
    weights: &FixedPointWeights,
    input: FixedPointTensor,
    channel: usize,
) -> Result<i8, ExportError> {
    let accumulator = i32::from(input.exponent) + i32::from(weights.exponents[channel]);
    let right_shift = i32::from(layer.output.exponent) - accumulator;
    let legal = i8::try_from(right_shift).ok().filter(|shift| (-MAX_SHIFT..=MAX_SHIFT).contains(shift));
    legal.ok_or_else(|| ExportError::Shift { layer: layer.name.clone(), channel, right_shift })
}

/// The multiplier of a channel. Spec 3.4.
fn multiplier(
    layer: &FixedPointLayer,
    weights: &FixedPointWeights,
    input: FixedPointTensor,
    channel: usize,
) -> Result<(i32, i8), ExportError> {
    let mantissa = weights.mantissas.get(channel).copied().unwrap_or(1);
    let weight_step = f64::from(mantissa) * 2_f64.powi(weights.exponents[channel].into());
    let factor = input.step() * weight_step / layer.output.step();
    quantized_multiplier(factor).ok_or_else(|| scale_error(layer, factor))
}

/// The weights of one output channel.
fn codes<'a>(
    layer: &FixedPointLayer,
    weights: &'a FixedPointWeights,
    channel: usize,
) -> Box<dyn Iterator<Item = i16> + 'a> {
    let out_ch = weights.bias.len();
    if let FixedPointOp::DepthwiseConv2d { .. } = layer.op {
        return Box::new(weights.codes.iter().skip(channel).step_by(out_ch).copied());
    }
    let len = weights.codes.len() / out_ch;
    Box::new(weights.codes[channel * len..][..len].iter().copied())
}

#[cfg(test)]
mod tests {
    use stepshift_runtime::format::{Activation, Element, Shape, WeightBits};

    use super::*;

    fn network(element: Element, bits: WeightBits, codes: Vec<i16>) -> FixedPointNetwork {
        let tensor = |len| FixedPointTensor { element, ..FixedPointTensor::i8(Shape { h: 1, w: 1, c: len }, 0) };
        let (input, output) = (tensor(codes.len() as u16), tensor(1));
        let weights = FixedPointWeights { bits, codes, exponents: vec![-8], mantissas: Vec::new(), bias: vec![0] };
        let op = FixedPointOp::FullyConnected { weights };
        let activation = Activation::full(element);
        let layer = FixedPointLayer { name: "fc".to_owned(), inputs: vec![0], output, activation, op };
        FixedPointNetwork { input, layers: vec![layer] }
    }

    fn found(element: Element, bits: WeightBits, codes: Vec<i16>) -> Option<ExactIn> {
        let network = network(element, bits, codes);
        let bounds = channel_bounds(&network, &network.layers[0]).unwrap();
        exact_in(&network, &network.layers[0], &bounds)
    }

    #[test]
    fn a_layer_is_exact_in_the_narrowest_floating_point_that_holds_its_operands_and_sums() {
        // 127 * 128 * 1031 + 128 < 2^24 < 127 * 128 * 1033.
        assert_eq!(found(Element::I8, WeightBits::Eight, vec![127; 1031]), Some(ExactIn::Bf16));
        assert_eq!(found(Element::I8, WeightBits::Eight, vec![127; 1033]), Some(ExactIn::F64));
        assert_eq!(found(Element::I8, WeightBits::Sixteen, vec![2000]), Some(ExactIn::Tf32));
        assert_eq!(found(Element::I8, WeightBits::Sixteen, vec![32767]), Some(ExactIn::F32));
        assert_eq!(found(Element::I16, WeightBits::Two, vec![1]), Some(ExactIn::F32));
    }
}
