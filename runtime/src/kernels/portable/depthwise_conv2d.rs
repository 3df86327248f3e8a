use super::window::{Span, positions};
use crate::arithmetic::requantize;
use crate::format::DepthwiseConv2d;
use crate::kernels::{View, ViewMut};

/// Depthwise 2-D convolution: output channel `oc` reads input channel `oc / multiplier`, where
/// `multiplier = C_OUT / C_IN`. Spec 4.2.
///
/// input    `[H, W, C_IN]`           i8
/// weights  `[1, K_H, K_W, C_OUT]`   i8
/// bias     `[C_OUT]`                i32, rounding constant included
/// output   `[H_OUT, W_OUT, C_OUT]`  i8
pub fn depthwise_conv2d(op: &DepthwiseConv2d<'_>, input: View<'_>, output: ViewMut<'_>) {
    let in_ch = usize::from(input.shape.c).max(1);
    let out_ch = usize::from(output.shape.c).max(1);
    let multiplier = (out_ch / in_ch).max(1);
    let kernel_w = usize::from(op.window.kernel_w);
    let step = (in_ch * usize::from(op.window.dilation_w)).max(1);
    for (pixel, (oy, ox)) in output.codes.chunks_exact_mut(out_ch).zip(positions(output.shape)) {
        let rows = Span::rows(&op.window, input.shape, oy);
        let columns = Span::columns(&op.window, input.shape, ox);
        for ((oc, code), channel) in pixel.iter_mut().enumerate().zip(op.weights.channels()) {
            let mut acc = channel.bias;
            for row in 0..rows.len {
                let tap = (rows.kernel + row) * kernel_w + columns.kernel;
                let filter = op.weights.codes().get(tap * out_ch + oc..).unwrap_or_default();
                let run = input.run(rows.input + row * rows.step, columns.input, columns.spanned());
                let x = run.get(oc / multiplier..).unwrap_or_default();
                for (x, w) in x.iter().step_by(step).zip(filter.iter().step_by(out_ch)) {
                    acc += i32::from(*x) * i32::from(*w);
                }
            }
            *code = requantize(acc, channel.right_shift, op.activation.min, op.activation.max);
        }
    }
}
