use crate::arithmetic::{requantize, rounding};
use crate::format::Rescale;
use crate::kernels::ViewMut;

/// Codes from one exponent to another, where they lie. Spec 4.9.
///
/// output  `[H, W, C]`  i8; holds the input and is overwritten
pub fn rescale(op: &Rescale, output: ViewMut<'_>) {
    for code in output.codes {
        let acc = i32::from(*code) + rounding(op.right_shift);
        *code = requantize(acc, op.right_shift, op.activation.min, op.activation.max);
    }
}
