use super::dot;
use super::window::positions;
use crate::arithmetic::requantize;
use crate::format::TransposeConv2d;
use crate::kernels::{View, ViewMut};

/// Transposed 2-D convolution, gathered: an output sees the inputs whose kernels reach it. Spec 4.8.
///
/// input    `[H, W, C_IN]`             i8
/// weights  `[C_OUT, K_H, K_W, C_IN]`  i8
/// bias     `[C_OUT]`                  i32, rounding constant included
/// output   `[H_OUT, W_OUT, C_OUT]`    i8
pub fn transpose_conv2d(op: &TransposeConv2d<'_>, input: View<'_>, output: ViewMut<'_>) {
    let window = &op.window;
    let in_ch = usize::from(input.shape.c);
    let filters = op.weights.codes().chunks_exact((window.taps() * in_ch).max(1));
    let out_ch = usize::from(output.shape.c).max(1);
    for (pixel, (oy, ox)) in output.codes.chunks_exact_mut(out_ch).zip(positions(output.shape)) {
        for ((code, filter), channel) in pixel.iter_mut().zip(filters.clone()).zip(op.weights.channels()) {
            let mut acc = channel.bias;
            for ky in 0..usize::from(window.kernel_h) {
                let Some(iy) = source(oy, window.pad_top, ky, window.stride_h, input.shape.h) else { continue };
                for kx in 0..usize::from(window.kernel_w) {
                    let Some(ix) = source(ox, window.pad_left, kx, window.stride_w, input.shape.w) else { continue };
                    let tap = (ky * usize::from(window.kernel_w) + kx) * in_ch;
                    acc += dot(input.run(iy, ix, 1), filter.get(tap..).unwrap_or_default());
                }
            }
            *code = requantize(acc, channel.right_shift, op.activation.min, op.activation.max);
        }
    }
}

/// The input index whose kernel entry `k` falls on an output index, if there is one.
#[inline]
fn source(out_index: usize, pad: u8, k: usize, stride: u8, len: u16) -> Option<usize> {
    let distance = (out_index + usize::from(pad)).checked_sub(k)?;
    let stride = usize::from(stride);
    let index = distance.checked_div(stride)?;
    (index * stride == distance && index < usize::from(len)).then_some(index)
}
