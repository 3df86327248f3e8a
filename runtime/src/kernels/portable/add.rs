use crate::arithmetic::{requantize, rounding};
use crate::format::Add;
use crate::kernels::{View, ViewMut};

/// Sum of two tensors of one shape: operands aligned by left shifts, rounded once. Spec 4.6.
///
/// b       `[H, W, C]`  i8
/// output  `[H, W, C]`  i8; holds the first operand and is overwritten by the sum
pub fn add(op: &Add, b: View<'_>, output: ViewMut<'_>) {
    let (a_shift, b_shift) = (op.a_shift & 31, op.b_shift & 31);
    for (code, b) in output.codes.iter_mut().zip(b.codes) {
        let sum = (i32::from(*code) << a_shift) + (i32::from(*b) << b_shift);
        *code = requantize(sum + rounding(op.right_shift), op.right_shift, op.activation.min, op.activation.max);
    }
}
