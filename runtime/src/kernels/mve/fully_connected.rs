use super::instructions::{Rows, copy};
use super::layer::{Entry, Layer};
use crate::format::{Blocks, Element, FullyConnected};
use crate::kernels::{View, ViewMut};

/// Fully connected layer, weights in [`Blocks`]. Spec 4.3.
///
/// input    `[H * W * C_IN]`         codes of one byte at the input's step, NHWC order
/// weights  `[C_OUT, H * W * C_IN]`  4 or 8 bits, packed
/// bias     `[C_OUT]`                i32, with all that is folded into it
/// output   `[C_OUT]`                codes at the output's step
/// scratch  [`Blocks::scratch_bytes`] of one pixel, unless [`Blocks::is_whole`]
pub fn fully_connected<const LINKS: u64>(
    op: &FullyConnected<'_>,
    input: View<'_>,
    mut output: ViewMut<'_>,
    scratch: &mut [u8],
) {
    let (element, bytes) = (input.element(), input.codes.bytes());
    let Some(order) = Blocks::new(bytes.len(), op.weights.bits, (element, output.element)) else { return };
    let entry = Entry::of(&op.weights);
    let layer = Layer::new(&op.weights, &entry, order, op.activation);
    let column = if order.is_whole(element) {
        bytes
    } else {
        let unsigned = element == Element::U8;
        let rows = Rows { bytes, len: bytes.len(), count: 1, step: 0, pixel_step: 0, unsigned };
        let _ = copy::<1>(rows, scratch, 0, 0);
        scratch
    };
    layer.multiply::<LINKS, 1>([column], 0, &mut output);
}
