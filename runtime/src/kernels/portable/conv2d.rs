use core::ops::Range;

use super::dot;
use super::window::{Span, positions};
use crate::arithmetic::requantize;
use crate::format::Conv2d;
use crate::kernels::{View, ViewMut};

/// 2-D convolution. Spec 4.1.
///
/// input    `[H, W, C_IN]`                      i8, real = code * 2^input.exponent
/// weights  `[C_OUT, K_H, K_W, C_IN / groups]`  i8
/// bias     `[C_OUT]`                           i32, exponent = input + weight, rounding constant included
/// output   `[H_OUT, W_OUT, C_OUT]`             i8
pub fn conv2d(op: &Conv2d<'_>, input: View<'_>, output: ViewMut<'_>) {
    // Where neighbours lie side by side, a row of the kernel is one run.
    if op.groups == 1 && op.window.is_dense() {
        convolve(op, input, output, |input, y, columns, filter, _| {
            dot(input.run(y, columns.input, columns.len), filter)
        });
    } else {
        convolve(op, input, output, strided_row);
    }
}

/// `row_sum` sums a row of the kernel: the input, its row, its columns, the filter from there on, the first channel.
#[inline(always)]
fn convolve(
    op: &Conv2d<'_>,
    input: View<'_>,
    output: ViewMut<'_>,
    row_sum: impl Fn(&View<'_>, usize, Span, &[i8], Range<usize>) -> i32,
) {
    let groups = usize::from(op.groups).max(1);
    let in_ch = usize::from(input.shape.c) / groups;
    let filter_row_len = usize::from(op.window.kernel_w) * in_ch;
    let filters = op.weights.codes().chunks_exact((usize::from(op.window.kernel_h) * filter_row_len).max(1));
    let out_ch = usize::from(output.shape.c).max(1);
    let group_len = (out_ch / groups).max(1);
    for (pixel, (oy, ox)) in output.codes.chunks_exact_mut(out_ch).zip(positions(output.shape)) {
        let rows = Span::rows(&op.window, input.shape, oy);
        let columns = Span::columns(&op.window, input.shape, ox);
        let outputs = pixel.iter_mut().zip(filters.clone()).zip(op.weights.channels());
        for (oc, ((code, filter), channel)) in outputs.enumerate() {
            let first = oc / group_len * in_ch;
            let mut acc = channel.bias;
            for row in 0..rows.len {
                let start = (rows.kernel + row) * filter_row_len + columns.kernel * in_ch;
                let filter = filter.get(start..).unwrap_or_default();
                acc += row_sum(&input, rows.input + row * rows.step, columns, filter, first..first + in_ch);
            }
            *code = requantize(acc, channel.right_shift, op.activation.min, op.activation.max);
        }
    }
}

/// A row of the kernel whose columns are apart, or that sees some channels only.
fn strided_row(input: &View<'_>, y: usize, columns: Span, filter: &[i8], channels: Range<usize>) -> i32 {
    let pixels = (0..columns.len).map(|column| input.run(y, columns.input + column * columns.step, 1));
    let taps = filter.chunks_exact(channels.len().max(1));
    pixels.zip(taps).map(|(pixel, tap)| dot(pixel.get(channels.clone()).unwrap_or_default(), tap)).sum()
}
