use super::arm;
use crate::arithmetic::{mean, saturate};
use crate::format::{AveragePool2d, Element, Links, VECTOR};
use crate::kernels::portable::divide;
use crate::kernels::window::{Span, positions};
use crate::kernels::{View, ViewMut};

/// Mean over a window of a tensor of 8 bits, 16 channels at a time; false for others, which it leaves alone. Spec 4.5.
///
/// input    `[H, W, C]`          codes
/// output   `[H_OUT, W_OUT, C]`  codes
pub fn average_pool2d<const LINKS: Links>(op: &AveragePool2d<'_>, input: &View<'_>, output: &mut ViewMut<'_>) -> bool {
    if input.element() == Element::I16 || output.element == Element::I16 {
        return false;
    }
    let (unsigned, channels) = (input.element() == Element::U8, usize::from(input.shape.c).max(1));
    let affine = op.divides::<LINKS>();
    for ((oy, ox), codes) in positions(output).zip(output.bytes.chunks_exact_mut(channels)) {
        let rows = Span::rows::<LINKS>(&op.window, input.shape, oy);
        let columns = Span::columns::<LINKS>(&op.window, input.shape, ox);
        let count = rows.len * columns.len;
        let multiplier = op.multiplier(count).unwrap_or(0);
        // Whole rows lie one behind the other.
        let whole = columns.len == usize::from(input.shape.w);
        let (runs, pixels) = if whole { (1, count) } else { (rows.len, columns.len) };
        let first = input.place(rows.input, columns.input);
        for (vector, codes) in codes.chunks_mut(VECTOR).enumerate() {
            let mut sums = [0; VECTOR];
            for run in 0..runs {
                let start = first + run * input.row_len() + VECTOR * vector;
                let source = input.bytes.get(start..).unwrap_or_default();
                arm::sum_pixels(unsigned, source, (channels, pixels), codes.len(), &mut sums);
            }
            for (code, sum) in codes.iter_mut().zip(sums) {
                let mean = if affine {
                    saturate(divide(sum, count), op.activation)
                } else {
                    mean(sum, multiplier, op.right_shift, op.activation)
                };
                [*code, ..] = mean.to_le_bytes();
            }
        }
    }
    true
}
