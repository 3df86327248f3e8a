//! Scales of the affine scheme as integers. Spec 3.4.

use stepshift_runtime::format::AffineOperand;

use super::{ExportError, FixedPointLayer, FixedPointNetwork, FixedPointTensor};

/// Headroom of an addition's operands. Spec 4.20.
const HEADROOM: i32 = 20;

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
