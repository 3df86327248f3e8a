use super::channels::channel_by_channel;
use super::dispatch::by_element;
use super::{dot, from_zero};
use crate::format::{Element, Links, TransposeConv2d};
use crate::kernels::{Code, Typed, View, ViewMut, WeightCodes, by_width};

/// Transposed 2-D convolution, gathered: an output sees the inputs whose kernels reach it. Spec 4.8.
///
/// input    `[H, W, C_IN]`             codes at the input's step
/// weights  `[C_OUT, K_H, K_W, C_IN]`  2, 4, 8 or 16 bits
/// bias     `[C_OUT]`                  i32, rounding constant included
/// output   `[H_OUT, W_OUT, C_OUT]`    codes at the output's step
pub fn transpose_conv2d<const LINKS: Links>(op: &TransposeConv2d<'_>, input: View<'_>, mut output: ViewMut<'_>) {
    let output = &mut output;
    // `Model::parse_linked` has refused other widths.
    by_element!(LINKS, input, |x| by_width!(LINKS, op.weights, |w| typed::<LINKS, _, _>(op, x, w, output), else ()));
}

fn typed<const LINKS: Links, X: Code, W: WeightCodes>(
    op: &TransposeConv2d<'_>,
    input: Typed<'_, X>,
    w: W,
    output: &mut ViewMut<'_>,
) {
    let window = &op.window;
    let in_ch = usize::from(input.shape.c);
    let filter_len = window.taps() * in_ch;
    let zero = op.weights.epilogue.linked_zero::<LINKS>();
    channel_by_channel::<LINKS, _>(&op.weights, op.activation, output, |oc, bias| {
        let filter = w.from(oc * filter_len);
        let first = from_zero(bias, zero, filter.run(filter_len).into_iter().flatten());
        move |oy, ox| {
            let mut acc = first;
            for ky in 0..usize::from(window.kernel_h) {
                let Some(iy) = source(oy, window.pad_top, ky, window.stride_h, input.shape.h) else { continue };
                for kx in 0..usize::from(window.kernel_w) {
                    let Some(ix) = source(ox, window.pad_left, kx, window.stride_w, input.shape.w) else { continue };
                    let taps = filter.from((ky * usize::from(window.kernel_w) + kx) * in_ch);
                    acc = acc.wrapping_add(dot::<LINKS, _>(Some(input.run(iy, ix, 1)), zero, taps));
                }
            }
            acc
        }
    });
}

/// The input index whose kernel entry `k` falls on an output index, if there is one.
#[inline]
fn source(out_index: usize, pad: u8, k: usize, stride: u8, len: u16) -> Option<usize> {
    let distance = (out_index + usize::from(pad)).checked_sub(k)?;
    let stride = usize::from(stride);
    let index = distance.checked_div(stride)?;
    (index * stride == distance && index < usize::from(len)).then_some(index)
}
