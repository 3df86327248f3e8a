use super::regions::{axis_len, rows};
use crate::arithmetic::{requantize, rounding};
use crate::format::{Activation, Shape};
use crate::kernels::{View, ViewMut};

/// One input of a concatenation, from its exponent and element to the output's. Spec 4.13.
///
/// input   `[H, W, C]`, of the output's extents but along `axis`
/// output  `[H_OUT, W_OUT, C_OUT]`; the input's part of it is written
///
/// Returns where the next input begins along the axis.
pub fn concat_part(
    axis: u8,
    at: u16,
    right_shift: i8,
    activation: Activation,
    input: View<'_>,
    mut output: ViewMut<'_>,
) -> u16 {
    let mut start = [0; 3];
    if let Some(entry) = start.get_mut(usize::from(axis)) {
        *entry = at;
    }
    let Shape { h, w, c } = input.shape;
    for (from, to) in rows(input.shape, [0; 3], [h, w]).zip(rows(output.shape, start, [h, w])) {
        for c in 0..usize::from(c) {
            let acc = input.code(from + c) + rounding(right_shift);
            output.put(to + c, requantize(acc, right_shift, activation));
        }
    }
    at.saturating_add(axis_len(input.shape, axis))
}
