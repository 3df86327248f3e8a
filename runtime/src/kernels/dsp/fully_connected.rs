use super::columns::words;
use super::instructions::{PaddedRun, dot, widen_run};
use super::layer::{Channels, Layer, Pixels};
use crate::codes::Codes;
use crate::format::{Detail, FullyConnected, Links};
use crate::kernels::ViewMut;

/// Fully connected layer, weights in [`Pairs`](crate::format::Pairs). Spec 4.3.
///
/// input    `[H * W * C_IN]`         codes at the input's step, NHWC order
/// weights  `[C_OUT, H * W * C_IN]`  4, 8 or 16 bits, packed
/// bias     `[C_OUT]`                i32, rounding constant included
/// output   `[C_OUT]`                codes at the output's step
/// scratch  [`scratch_bytes`](crate::format::Pairs::scratch_bytes) of one pixel, for a column; or none, where a layer
///          [needs none](crate::format::Pairs::has_dot): its codes are widened anew for each two channels then
pub fn fully_connected<const LINKS: Links>(
    op: &FullyConnected<'_>,
    input: Codes<'_>,
    mut output: ViewMut<'_>,
    scratch: &mut [u8],
) {
    let column_words = input.len().next_multiple_of(4) / 2;
    let end = (output.element, output.shape.c);
    let channels = Channels::new::<LINKS>(&op.weights, op.activation, end, column_words, false);
    if Detail::NoColumn.is_in(LINKS) && scratch.is_empty() {
        dot::<LINKS>(&channels.filters::<LINKS>(), input, output.bytes);
        channels.rest::<LINKS, 1>(Pixels { first: 0, output: &mut output }, |filters, output| {
            dot::<LINKS>(&filters, input, output);
        });
    } else if Detail::Column.is_in(LINKS) {
        let column = words(scratch, column_words);
        widen_run::<LINKS>(&PaddedRun { codes: input, before: 0, zero: 0 }, 1, column);
        Layer::new::<LINKS>(&channels, 1).multiply::<LINKS, 1>(column, 0, &mut output);
    }
}
