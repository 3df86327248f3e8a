use super::columns::words;
use super::instructions::{PaddedRun, widen_run};
use super::layer::Layer;
use crate::codes::Codes;
use crate::format::{FullyConnected, Links, Pairs, Runs};
use crate::kernels::ViewMut;

/// Fully connected layer, weights in [`Pairs`]. Spec 4.3.
///
/// input    `[H * W * C_IN]`         codes at the input's step, NHWC order
/// weights  `[C_OUT, H * W * C_IN]`  4, 8 or 16 bits, packed
/// bias     `[C_OUT]`                i32, rounding constant included
/// output   `[C_OUT]`                codes at the output's step
/// scratch  [`Pairs::scratch_bytes`] of one pixel
pub fn fully_connected<const LINKS: Links>(
    op: &FullyConnected<'_>,
    input: Codes<'_>,
    mut output: ViewMut<'_>,
    scratch: &mut [u8],
) {
    let Some(order) = Pairs::new(Runs::whole(input.len()), op.weights.bits) else { return };
    let column_words = order.channel_len() / 2;
    let column = words(scratch, column_words);
    widen_run::<LINKS>(&PaddedRun { codes: input, before: 0, zero: 0 }, 1, column);
    let end = (output.element, output.shape.c);
    let mut layer = Layer::new::<LINKS>(&op.weights, op.activation, end, (column_words, 1), false);
    layer.multiply::<LINKS, 1>(column, 0, &mut output);
}
