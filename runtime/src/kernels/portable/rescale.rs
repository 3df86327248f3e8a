use crate::arithmetic::{requantize, rounding};
use crate::format::Rescale;
use crate::kernels::InOut;

/// Codes from one exponent and element to another. Spec 4.9.
///
/// codes  `[H, W, C]`
pub fn rescale(op: &Rescale, mut codes: InOut<'_>) {
    codes.map(|_, code| requantize(code + rounding(op.right_shift), op.right_shift, op.activation));
}
