use super::dot;
use super::window::{Span, positions};
use crate::arithmetic::requantize;
use crate::format::Conv2d;
use crate::kernels::{View, ViewMut};

/// 2-D convolution. Spec 4.1.
///
/// input    `[H, W, C_IN]`             i8, real = code * 2^input.exponent
/// weights  `[C_OUT, K_H, K_W, C_IN]`  i8
/// bias     `[C_OUT]`                  i32, exponent = input + weight, rounding constant included
/// output   `[H_OUT, W_OUT, C_OUT]`    i8
pub fn conv2d(op: &Conv2d<'_>, input: View<'_>, output: ViewMut<'_>) {
    let in_ch = usize::from(input.shape.c);
    let filter_row_len = usize::from(op.window.kernel_w) * in_ch;
    let filter_len = usize::from(op.window.kernel_h) * filter_row_len;
    let filters = op.weights.codes().chunks_exact(filter_len.max(1));
    let out_ch = usize::from(output.shape.c).max(1);
    for (pixel, (oy, ox)) in output.codes.chunks_exact_mut(out_ch).zip(positions(output.shape)) {
        let rows = Span::rows(&op.window, input.shape, oy);
        let columns = Span::columns(&op.window, input.shape, ox);
        for ((code, filter), channel) in pixel.iter_mut().zip(filters.clone()).zip(op.weights.channels()) {
            let mut acc = channel.bias;
            for row in 0..rows.len {
                let start = (rows.kernel + row) * filter_row_len + columns.kernel * in_ch;
                let x = input.run(rows.input + row, columns.input, columns.len);
                acc += dot(x, filter.get(start..).unwrap_or_default());
            }
            *code = requantize(acc, channel.right_shift, op.activation.min, op.activation.max);
        }
    }
}
