use super::channels::channel_by_channel;
use super::dispatch::by_element;
use super::from_zero;
use crate::format::{DepthwiseConv2d, Detail, Element, Links};
use crate::kernels::window::Span;
use crate::kernels::{Code, Typed, View, ViewMut, WeightCodes, by_width};

/// Depthwise 2-D convolution: output channel `oc` reads input channel `oc / multiplier`, where
/// `multiplier = C_OUT / C_IN`. Spec 4.2.
///
/// input    `[H, W, C_IN]`           codes at the input's step
/// weights  `[1, K_H, K_W, C_OUT]`   2, 4, 8 or 16 bits
/// bias     `[C_OUT]`                i32, rounding constant included
/// output   `[H_OUT, W_OUT, C_OUT]`  codes at the output's step
pub fn depthwise_conv2d<const LINKS: Links>(op: &DepthwiseConv2d<'_>, input: View<'_>, mut output: ViewMut<'_>) {
    let output = &mut output;
    // `Model::parse_linked` has refused other widths.
    by_element!(LINKS, input, |x| by_width!(LINKS, op.weights, |w| typed::<LINKS, _, _>(op, x, w, output), else ()));
}

fn typed<const LINKS: Links, X: Code, W: WeightCodes>(
    op: &DepthwiseConv2d<'_>,
    input: Typed<'_, X>,
    w: W,
    output: &mut ViewMut<'_>,
) {
    let in_ch = usize::from(input.shape.c).max(1);
    let out_ch = usize::from(output.shape.c).max(1);
    let multiplier = (out_ch / in_ch).max(1);
    let kernel_w = usize::from(op.window.kernel_w);
    let column_step = in_ch * usize::from(op.window.dilation_w);
    let row_step = usize::from(op.window.dilation_h) * input.row_len();
    let zero = if Detail::DepthwisePadding.is_in(LINKS) { op.weights.epilogue.linked_zero::<LINKS>() } else { 0 };
    channel_by_channel::<LINKS, _>(&op.weights, op.activation, output, |oc, bias| {
        let first = from_zero(bias, zero, w.from(oc).every(out_ch).take(op.window.taps()));
        move |oy, ox| {
            let rows = Span::rows::<LINKS>(&op.window, input.shape, oy);
            let columns = Span::columns::<LINKS>(&op.window, input.shape, ox);
            let mut acc = first;
            let mut x = input.place(rows.input, columns.input) + oc / multiplier;
            let mut tap = (rows.kernel * kernel_w + columns.kernel) * out_ch + oc;
            for _ in 0..rows.len {
                for column in 0..columns.len {
                    if let Some(x) = input.codes.get(x + column * column_step) {
                        acc = acc.wrapping_add((x.get() - zero) * w.code(tap + column * out_ch));
                    }
                }
                x += row_step;
                tap += kernel_w * out_ch;
            }
            acc
        }
    });
}
