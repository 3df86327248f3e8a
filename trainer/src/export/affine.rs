//! Scales of the affine scheme as integers. Spec 3.4.

use stepshift_runtime::format::AffineOperand;
use stepshift_runtime::kernels::portable::affine_exponential;

use super::{ExportError, FixedPointLayer, FixedPointNetwork, FixedPointOp, FixedPointTensor};

/// Headroom of an addition's operands. Spec 4.20.
const HEADROOM: i32 = 20;

/// Fraction bits of a difference of logits. Spec 4.26.
const DIFFERENCE_BITS: i32 = 26;

/// Significand and exponent of a scale: `scale = mantissa * 2^exponent`, with the least significand that is whole.
///
/// `None` for a scale that is not positive, or whose exponent is no `i8`.
#[must_use]
pub fn scale_parts(scale: f32) -> Option<(u32, i8)> {
    let normal = scale.is_normal() && scale > 0.0;
    let bits = scale.to_bits();
    let (mantissa, exponent) = ((bits & 0x7f_ffff) | 0x80_0000, (bits >> 23).cast_signed() - 150);
    let zeros = mantissa.trailing_zeros();
    let exponent = i8::try_from(exponent + zeros.cast_signed()).ok()?;
    normal.then_some((mantissa >> zeros, exponent))
}

/// A real factor as `multiplier * 2^(shift - 31)` with `2^30 <= multiplier < 2^31`: TensorFlow Lite's `QuantizeMultiplier`
/// (Jacob et al. 2017, section 2.2). `None` for a factor of `2^30` or more, or one that is not positive.
#[must_use]
pub fn quantized_multiplier(factor: f64) -> Option<(i32, i8)> {
    if !(factor.is_normal() && factor > 0.0) {
        return None;
    }
    let exponent = ((factor.to_bits() >> 52) & 0x7ff) as i32 - 1022;
    let significand = factor * 2_f64.powi(-exponent);
    let rounded = (significand * 2_f64.powi(31)).round() as i64;
    let (rounded, exponent) = if rounded == 1 << 31 { (1 << 30, exponent + 1) } else { (rounded, exponent) };
    match exponent {
        ..=-32 => Some((0, 0)),
        -31..=30 => Some((i32::try_from(rounded).ok()?, exponent as i8)),
        _ => None,
    }
}

/// Operands and result of a sum or a difference: both operands at twice the greater scale, with headroom. Spec 4.20.
///
/// # Errors
/// [`ExportError::Scale`] where the result's scale is too small.
pub(crate) fn sum(network: &FixedPointNetwork, layer: &FixedPointLayer) -> Result<[AffineOperand; 3], ExportError> {
    let [a, b] = [network.tensor(layer.inputs[0]), network.tensor(layer.inputs[1])];
    let twice_greatest = 2.0 * a.step().max(b.step());
    let output = twice_greatest / (2_f64.powi(HEADROOM) * layer.output.step());
    let part = |tensor: FixedPointTensor, factor: f64| {
        let parts = quantized_multiplier(factor).filter(|(_, shift)| *shift <= 0);
        let operand = parts.map(|(multiplier, shift)| AffineOperand { zero: tensor.zero, multiplier, shift });
        operand.ok_or_else(|| scale_error(layer, factor))
    };
    let (a_factor, b_factor) = (a.step() / twice_greatest, b.step() / twice_greatest);
    Ok([part(a, a_factor)?, part(b, b_factor)?, part(layer.output, output)?])
}

/// Operands and result of a product. Spec 4.20.
///
/// # Errors
/// [`ExportError::Scale`] where the result's scale is too small.
pub(crate) fn product(network: &FixedPointNetwork, layer: &FixedPointLayer) -> Result<[AffineOperand; 3], ExportError> {
    let [a, b] = [network.tensor(layer.inputs[0]), network.tensor(layer.inputs[1])];
    let factor = a.step() * b.step() / layer.output.step();
    let parts = quantized_multiplier(factor).filter(|(_, shift)| *shift <= 14);
    let (multiplier, shift) = parts.ok_or_else(|| scale_error(layer, factor))?;
    let operand = |tensor: FixedPointTensor| AffineOperand { zero: tensor.zero, multiplier: 0, shift: 0 };
    Ok([operand(a), operand(b), AffineOperand { zero: layer.output.zero, multiplier, shift }])
}

/// Leaky ReLU of one slope as a table of TensorFlow Lite's codes; of a slope of 1 its `QUANTIZE`, of others its `LEAKY_RELU`.
/// `None` for a result's scale that is too small.
#[must_use]
pub fn leaky(slope: f64, input: FixedPointTensor, output: FixedPointTensor) -> Option<FixedPointOp> {
    let factor = input.step() / output.step();
    let multiplier = |factor: f64| match quantized_multiplier(factor) {
        // A slope of 0.
        None if factor == 0.0 => Some((0, 0)),
        found => found.filter(|(_, shift)| *shift <= 14),
    };
    let (above, below) = (multiplier(factor)?, multiplier(factor * slope.abs())?);
    let code = |code: i16| {
        let x = i64::from(code) - i64::from(input.zero);
        let y = if x >= 0 { multiplied(x, above) } else { multiplied(if slope < 0.0 { -x } else { x }, below) };
        (y + i64::from(output.zero)).clamp(output.element.min().into(), output.element.max().into()) as i16
    };
    let codes = (input.element.min()..=input.element.max()).map(code).collect();
    Some(FixedPointOp::Table { codes })
}

/// The factor of a mean over `count` codes: that of the scales, divided by the count. Spec 4.25.
///
/// # Errors
/// [`ExportError::Scale`] where the result's scale is too small.
pub(crate) fn mean(
    layer: &FixedPointLayer,
    input: FixedPointTensor,
    count: usize,
) -> Result<AffineOperand, ExportError> {
    let factor = input.step() / layer.output.step();
    let (multiplier, shift) = quantized_multiplier(factor).ok_or_else(|| scale_error(layer, factor))?;
    let count = count.max(1) as i64;
    let bits = i8::try_from(count.ilog2()).unwrap_or(i8::MAX).min(32).min(31 + shift);
    let quotient = (i64::from(multiplier) << bits) / count;
    let multiplier = i32::try_from(quotient).map_err(|_| scale_error(layer, factor))?;
    Ok(AffineOperand { zero: layer.output.zero, multiplier, shift: shift - bits })
}

/// A scale of logits in units of `2^-26` as multiplier and left shift, 1 to 31: TensorFlow Lite's
/// `PreprocessSoftmaxScaling`. Spec 4.26. `None` for a scale of `2^-26` or less.
#[must_use]
pub fn softmax_scale(scale: f64) -> Option<(i32, u8)> {
    let factor = (scale * 2_f64.powi(DIFFERENCE_BITS)).min(2_f64.powi(31) - 1.0);
    // The greatest shift is 31, one more than a factor may have.
    let (multiplier, shift) = quantized_multiplier(factor / 2.0).filter(|_| factor > 1.0)?;
    Some((multiplier, shift.cast_unsigned() + 1))
}

/// `exp` of each distance from the greatest code, in units of `2^-31`. Spec 4.26. `None` for a scale of `2^-26` or less.
pub(super) fn exponentials(scale: f64) -> Option<Vec<u32>> {
    let (multiplier, left_shift) = softmax_scale(scale)?;
    Some((0..=u8::MAX).map(|distance| affine_exponential(multiplier, left_shift, distance)).collect())
}

/// Spec 4.26, of one pixel: codes of `u8` at exponent -8; zeros for a scale of `2^-26` or less.
pub(super) fn softmax(scale: f64, logits: &[i16]) -> Vec<i16> {
    let table = exponentials(scale).unwrap_or_else(|| vec![0; 256]);
    let greatest = logits.iter().max().copied().unwrap_or(0);
    let parts: Vec<i64> = logits.iter().map(|code| table[usize::from(greatest.abs_diff(*code))].into()).collect();
    let sum: i64 = parts.iter().map(|part| rounded_half(*part, 12)).sum();
    // From 2^31 to 2^32, and how many bits above 2^19 that is.
    let bits = sum.max(1).ilog2();
    let half = sum << (31 - bits) >> 1;
    let mut x = 1_515_870_810 + high_half(half, -1_010_580_540);
    for _ in 0..3 {
        x += high_half(x, (1 << 29) - high_half(half, x)) * 4;
    }
    let scale = (2 * x).min(i32::MAX.into());
    let code = |part: i64| rounded_half(high_half(scale, part), bits + 4).min(255) as i16;
    parts.into_iter().map(code).collect()
}

/// `x * multiplier * 2^(shift - 31)`. Spec 3.4.
fn multiplied(x: i64, (multiplier, shift): (i32, i8)) -> i64 {
    let high = high_half(x << shift.max(0), multiplier.into());
    if shift < 0 { rounded_half(high, shift.unsigned_abs().into()) } else { high }
}

/// `a * b / 2^31`, a tie towards plus infinity. Spec 3.4.
const fn high_half(a: i64, b: i64) -> i64 {
    (a * b + (1 << 30)) >> 31
}

/// `x / 2^exponent`, half away from zero. Spec 3.4.
const fn rounded_half(x: i64, exponent: u32) -> i64 {
    let half = 1 << (exponent - 1);
    x.signum() * ((x.abs() + half) >> exponent)
}

pub(super) fn scale_error(layer: &FixedPointLayer, factor: f64) -> ExportError {
    ExportError::Scale { layer: layer.name.clone(), factor: factor.to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scales_are_their_parts() {
        for scale in [1.0_f32, 0.5, 0.1, 1e-5, 3.0, 0.003_921_569] {
            let (mantissa, exponent) = scale_parts(scale).unwrap();
            assert_eq!(f64::from(mantissa) * 2_f64.powi(exponent.into()), f64::from(scale));
            assert!(mantissa % 2 == 1);
        }
        assert_eq!(scale_parts(0.25), Some((1, -2)));
        assert_eq!((scale_parts(0.0), scale_parts(-1.0), scale_parts(f32::NAN)), (None, None, None));
    }

    #[test]
    fn multipliers_are_within_a_unit_of_the_factor() {
        for factor in [1.0, 0.5, 0.75, 0.999_999_999_9, 1e-6, 123.456, 0.000_732_1] {
            let (multiplier, shift) = quantized_multiplier(factor).unwrap();
            assert!((1 << 30..=i32::MAX).contains(&multiplier));
            let unit = 2_f64.powi(i32::from(shift) - 31);
            assert!((f64::from(multiplier) * unit - factor).abs() <= unit / 2.0, "{factor}");
        }
        assert_eq!(quantized_multiplier(0.5), Some((1 << 30, 0)));
        assert_eq!(quantized_multiplier(1e-12), Some((0, 0)));
        assert_eq!(quantized_multiplier(2e9), None);
    }
}
