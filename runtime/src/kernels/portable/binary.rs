use crate::arithmetic::{requantize, rounding};
use crate::format::{Binary, BinaryKind};
use crate::kernels::{InOut, View};

/// Two tensors of one shape, code by code: aligned by left shifts, combined, rounded once. Spec 4.6.
///
/// a_output  `[H, W, C]`  codes of the first operand, and of the result, which may lie in its place
/// b         `[H, W, C]`  codes; `None` where it is the first operand
pub fn binary(op: &Binary, mut a_output: InOut<'_>, b: Option<View<'_>>) {
    let (a_shift, b_shift) = (op.a_shift & 31, op.b_shift & 31);
    a_output.map(|index, a| {
        let b = b.map_or(a, |b| b.code(index));
        let (a, b) = (a << a_shift, b << b_shift);
        let acc = match op.kind {
            BinaryKind::Add => a + b,
            BinaryKind::Sub => a - b,
            BinaryKind::Mul => a.wrapping_mul(b),
            BinaryKind::Minimum => a.min(b),
            BinaryKind::Maximum => a.max(b),
        };
        requantize(acc + rounding(op.right_shift), op.right_shift, op.activation)
    });
}
