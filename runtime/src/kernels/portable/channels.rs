//! The frame of layers that accumulate products: channel by channel, every pixel.

use crate::format::{Activation, Links, Weights};
use crate::kernels::ViewMut;

/// Writes every pixel of one output channel, then the next channel's: what belongs to a channel is found once.
///
/// channel  from an output channel and its bias to what gives the accumulator at a row and a column of the output
#[inline]
pub(super) fn channel_by_channel<const LINKS: Links, A: Fn(usize, usize) -> i32>(
    weights: &Weights<'_>,
    activation: Activation,
    output: &mut ViewMut<'_>,
    channel: impl Fn(usize, i32) -> A,
) {
    let (out_ch, len) = (usize::from(output.shape.c).max(1), output.len());
    let columns = usize::from(output.shape.w);
    for (oc, bias) in weights.biases().enumerate() {
        let end = weights.epilogue.channel(oc);
        let accumulator = channel(oc, bias);
        let (mut oy, mut ox) = (output.first_row, 0);
        let mut index = oc;
        while index < len {
            output.linked_put::<LINKS>(index, end.apply::<LINKS>(accumulator(oy, ox), activation));
            index += out_ch;
            ox += 1;
            if ox == columns {
                (oy, ox) = (oy + 1, 0);
            }
        }
    }
}
