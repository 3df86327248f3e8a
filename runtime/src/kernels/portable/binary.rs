use crate::arithmetic::{requantize, rounding};
use crate::format::{Binary, BinaryKind};
use crate::kernels::{View, ViewMut};

/// Two tensors of one shape, code by code: aligned by left shifts, combined, rounded once. Spec 4.6.
///
/// b       `[H, W, C]`  i8
/// output  `[H, W, C]`  i8; holds the first operand and is overwritten by the result
pub fn binary(op: &Binary, b: View<'_>, output: ViewMut<'_>) {
    match op.kind {
        BinaryKind::Add => combine(op, b, output, |a, b| a + b),
        BinaryKind::Sub => combine(op, b, output, |a, b| a - b),
        BinaryKind::Mul => combine(op, b, output, |a, b| a.wrapping_mul(b)),
        BinaryKind::Minimum => combine(op, b, output, i32::min),
        BinaryKind::Maximum => combine(op, b, output, i32::max),
    }
}

#[inline]
fn combine(op: &Binary, b: View<'_>, output: ViewMut<'_>, kind: impl Fn(i32, i32) -> i32) {
    let (a_shift, b_shift) = (op.a_shift & 31, op.b_shift & 31);
    for (code, b) in output.codes.iter_mut().zip(b.codes) {
        let acc = kind(i32::from(*code) << a_shift, i32::from(*b) << b_shift);
        *code = requantize(acc + rounding(op.right_shift), op.right_shift, op.activation.min, op.activation.max);
    }
}
