use core::ops::Range;

use super::dispatch::{by_element, by_width};
use super::dot;
use super::padding::{Filter, padding};
use super::window::{Span, positions};
use crate::format::{Conv2d, Element, WeightBits};
use crate::kernels::{Bytes, Code, Packed, Typed, View, ViewMut, WeightCodes, Words};

/// 2-D convolution. Spec 4.1.
///
/// input    `[H, W, C_IN]`                      codes at the input's step
/// weights  `[C_OUT, K_H, K_W, C_IN / groups]`  2, 4, 8 or 16 bits
/// bias     `[C_OUT]`                           i32 at the step of input times weight, rounding constant included
/// output   `[H_OUT, W_OUT, C_OUT]`             codes at the output's step
pub fn conv2d<const LINKS: u64>(op: &Conv2d<'_>, input: View<'_>, mut output: ViewMut<'_>) {
    let output = &mut output;
    by_element!(LINKS, input, |x| by_width!(LINKS, op.weights, |w| typed::<LINKS, _, _>(op, x, w, output)));
}

fn typed<const LINKS: u64, X: Code, W: WeightCodes>(
    op: &Conv2d<'_>,
    input: Typed<'_, X>,
    w: W,
    output: &mut ViewMut<'_>,
) {
    // Where neighbours lie side by side, a row of the kernel is one run.
    if op.groups == 1 && op.window.is_dense() {
        convolve::<LINKS, _, _>(op, input, w, output, |input, y, columns, w, start, _| {
            dot(input.run(y, columns.input, columns.len), w, start)
        });
    } else {
        convolve::<LINKS, _, _>(op, input, w, output, strided_row);
    }
}

/// `row_sum` sums a row of the kernel: the input, its row, its columns, the weights from an index on, the channels.
#[inline(always)]
fn convolve<const LINKS: u64, X: Code, W: WeightCodes>(
    op: &Conv2d<'_>,
    input: Typed<'_, X>,
    w: W,
    output: &mut ViewMut<'_>,
    row_sum: impl Fn(&Typed<'_, X>, usize, Span, W, usize, Range<usize>) -> i32,
) {
    let groups = usize::from(op.groups).max(1);
    let in_ch = usize::from(input.shape.c) / groups;
    let filter_row_len = usize::from(op.window.kernel_w) * in_ch;
    let filter_len = usize::from(op.window.kernel_h) * filter_row_len;
    let group_len = (usize::from(output.shape.c) / groups).max(1);
    let zero = op.weights.epilogue.input_zero();
    let mut index = 0;
    for (oy, ox) in positions(output.shape) {
        let rows = Span::rows(&op.window, input.shape, oy);
        let columns = Span::columns(&op.window, input.shape, ox);
        for (oc, channel) in op.weights.channels().enumerate() {
            let first = oc / group_len * in_ch;
            let mut acc = channel.bias;
            for row in 0..rows.len {
                let start = oc * filter_len + (rows.kernel + row) * filter_row_len + columns.kernel * in_ch;
                acc += row_sum(&input, rows.input + row * rows.step, columns, w, start, first..first + in_ch);
            }
            let filter = Filter { start: oc * filter_len, tap_len: in_ch, channels: in_ch };
            acc += padding::<LINKS, _>(zero, &op.window, w, filter, |ky, kx| rows.covers(ky) && columns.covers(kx));
            output.put(index, channel.requantizer.apply::<LINKS>(acc, op.activation));
            index += 1;
        }
    }
}

/// A row of the kernel whose columns are apart, or that sees some channels only.
fn strided_row<X: Code, W: WeightCodes>(
    input: &Typed<'_, X>,
    y: usize,
    columns: Span,
    w: W,
    start: usize,
    channels: Range<usize>,
) -> i32 {
    let mut sum = 0;
    for column in 0..columns.len {
        let pixel = input.run(y, columns.input + column * columns.step, 1);
        sum += dot(pixel.get(channels.clone()).unwrap_or_default(), w, start + column * channels.len());
    }
    sum
}
