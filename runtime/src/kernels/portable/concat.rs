use super::regions::{axis_len, rows};
use crate::arithmetic::{requantize, rounding};
use crate::format::{Activation, Shape};
use crate::kernels::{View, ViewMut};

/// One input of a concatenation, from its exponent to the output's. Spec 4.13.
///
/// input   `[H, W, C]`, of the output's extents but along `axis`  i8
/// output  `[H_OUT, W_OUT, C_OUT]`                                i8; the input's part of it is written
///
/// Returns where the next input begins along the axis.
pub fn concat_part(
    axis: u8,
    at: u16,
    right_shift: i8,
    activation: Activation,
    input: View<'_>,
    output: ViewMut<'_>,
) -> u16 {
    let mut start = [0; 3];
    if let Some(entry) = start.get_mut(usize::from(axis)) {
        *entry = at;
    }
    let Shape { h, w, c } = input.shape;
    let len = usize::from(c);
    for (from, to) in rows(input.shape, [0; 3], [h, w]).zip(rows(output.shape, start, [h, w])) {
        let source = input.codes.get(from..).and_then(|codes| codes.get(..len)).unwrap_or_default();
        let target = output.codes.get_mut(to..).and_then(|codes| codes.get_mut(..len)).unwrap_or_default();
        for (code, x) in target.iter_mut().zip(source) {
            *code = requantize(i32::from(*x) + rounding(right_shift), right_shift, activation.min, activation.max);
        }
    }
    at.saturating_add(axis_len(input.shape, axis))
}
