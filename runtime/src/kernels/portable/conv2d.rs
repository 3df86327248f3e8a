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
    let groups = usize::from(op.groups).max(1);
    let in_ch = usize::from(input.shape.c) / groups;
    let filter_row_len = usize::from(op.window.kernel_w) * in_ch;
    let filters = op.weights.codes().chunks_exact((usize::from(op.window.kernel_h) * filter_row_len).max(1));
    let out_ch = usize::from(output.shape.c).max(1);
    let group_len = (out_ch / groups).max(1);
    // Where neighbours lie side by side, a row of the kernel is one run.
    let contiguous = groups == 1 && op.window.dilation_w == 1;
    for (pixel, (oy, ox)) in output.codes.chunks_exact_mut(out_ch).zip(positions(output.shape)) {
        let rows = Span::rows(&op.window, input.shape, oy);
        let columns = Span::columns(&op.window, input.shape, ox);
        let outputs = pixel.iter_mut().zip(filters.clone()).zip(op.weights.channels());
        for (oc, ((code, filter), channel)) in outputs.enumerate() {
            let mut acc = channel.bias;
            for row in 0..rows.len {
                let y = rows.input + row * rows.step;
                let start = (rows.kernel + row) * filter_row_len + columns.kernel * in_ch;
                let filter = filter.get(start..).unwrap_or_default();
                if contiguous {
                    acc += dot(input.run(y, columns.input, columns.len), filter);
                } else {
                    let first = if groups == 1 { 0 } else { oc / group_len * in_ch };
                    acc += strided_row(&input, y, columns, first, filter.chunks_exact(in_ch.max(1)));
                }
            }
            *code = requantize(acc, channel.right_shift, op.activation.min, op.activation.max);
        }
    }
}

/// A row of the kernel whose columns are apart, or that sees some channels only, from `first` on.
fn strided_row<'a>(
    input: &View<'_>,
    y: usize,
    columns: Span,
    first: usize,
    taps: impl Iterator<Item = &'a [i8]>,
) -> i32 {
    let pixels = (0..columns.len).map(|column| input.run(y, columns.input + column * columns.step, 1));
    pixels.zip(taps).map(|(pixel, tap)| dot(pixel.get(first..).unwrap_or_default(), tap)).sum()
}
