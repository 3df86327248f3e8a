use super::dispatch::by_element;
use super::mean::sums;
use crate::arithmetic::{multiply, saturate};
use crate::format::{AffineMean, Element, Links};
use crate::kernels::{View, ViewMut};

/// Mean over rows, columns, channels or several of them in the affine scheme. Spec 4.25.
///
/// input    `[H, W, C]`              codes of 8 bits
/// output   `[H_OUT, W_OUT, C_OUT]`  codes of 8 bits; 1 along the axes of the mean
pub fn affine_mean<const LINKS: Links>(op: &AffineMean, input: View<'_>, mut output: ViewMut<'_>) {
    let (output, averaged) = (&mut output, input.shape.along(op.axes));
    #[expect(clippy::cast_possible_truncation, reason = "255 times the count fits 32 bits, as the loader has checked")]
    let zeros = (averaged.len() as i32).wrapping_mul(op.input_zero.into());
    let end = |sum: i32| {
        let code = multiply(sum.wrapping_sub(zeros), op.output.multiplier, op.output.shift);
        saturate(code.saturating_add(op.output.zero.into()), op.activation)
    };
    by_element!(LINKS, input, |x| sums(averaged, x, output, end));
}
