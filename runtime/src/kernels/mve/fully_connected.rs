use super::instructions::Runs;
use super::layer::Entry;
use crate::codes::Codes;
use crate::format::{Blocks, Element, FullyConnected, Links};
use crate::kernels::ViewMut;

/// Fully connected layer, weights in [`Blocks`]. Spec 4.3.
///
/// input    `[H * W * C_IN]`         codes of one byte at the input's step, NHWC order
/// weights  `[C_OUT, H * W * C_IN]`  4 or 8 bits, packed
/// bias     `[C_OUT]`                i32, with all that is folded into it
/// output   `[C_OUT]`                codes at the output's step
/// scratch  [`Blocks::scratch_bytes`] of one pixel, unless [`Blocks::is_whole`]
pub fn fully_connected<const LINKS: Links>(
    op: &FullyConnected<'_>,
    input: Codes<'_>,
    output: ViewMut<'_>,
    scratch: &mut [u8],
) {
    let (element, bytes) = (input.element(), input.bytes());
    let Some(order) = Blocks::new(bytes.len(), op.weights.bits, (element, output.element)) else { return };
    let entry = Entry::of(&op.weights);
    let multiplier = entry.multiplier::<LINKS>(&op.weights, order, op.activation, (output.shape.c, 0));
    let Some(multiplier) = multiplier else { return };
    if order.is_whole(element) {
        multiplier.run::<LINKS, 1>(bytes, output.bytes);
    } else {
        Runs::copy_all(element == Element::U8, bytes, scratch);
        multiplier.run::<LINKS, 1>(scratch, output.bytes);
    }
}
