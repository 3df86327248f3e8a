use super::dispatch::by_element;
use super::padding::{Filter, padding};
use crate::format::{DepthwiseConv2d, Detail, Element, Links};
use crate::kernels::window::{Span, is_whole, positions};
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
    let step = (in_ch * usize::from(op.window.dilation_w)).max(1);
    let zero = op.weights.epilogue.input_zero();
    let mut index = 0;
    for (oy, ox) in positions(output) {
        let rows = Span::rows::<LINKS>(&op.window, input.shape, oy);
        let columns = Span::columns::<LINKS>(&op.window, input.shape, ox);
        let is_padded = Detail::DepthwisePadding.is_in(LINKS) && !is_whole(&op.window, rows, columns);
        for (oc, bias) in op.weights.biases().enumerate() {
            let mut acc = bias;
            for row in 0..rows.len {
                let tap = (rows.kernel + row) * kernel_w + columns.kernel;
                let run = input.run(rows.input + row * rows.step, columns.input, columns.spanned());
                let x = run.get(oc / multiplier..).unwrap_or_default();
                for (x, w) in x.iter().step_by(step).zip(w.strided(tap * out_ch + oc, out_ch)) {
                    acc += x.get() * w;
                }
            }
            if is_padded {
                let filter = Filter { start: oc, tap_len: out_ch, channels: 1 };
                let meets_input = |ky, kx| rows.covers(ky) && columns.covers(kx);
                acc += padding::<LINKS, _>(zero, &op.window, w, filter, meets_input);
            }
            output.linked_put::<LINKS>(index, op.weights.epilogue.code::<LINKS>(oc, acc, op.activation));
            index += 1;
        }
    }
}
