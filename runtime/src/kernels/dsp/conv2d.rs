use super::CONV_COLUMNS;
use super::columns::{Gather, words};
use super::layer::Layer;
use crate::format::{Conv2d, Pairs, Runs};
use crate::kernels::{View, ViewMut};

/// 2-D convolution of one group, weights in [`Pairs`]: four pixels of the output at a time. Spec 4.1.
///
/// input    `[H, W, C_IN]`             codes at the input's step
/// weights  `[C_OUT, K_H, K_W, C_IN]`  4, 8 or 16 bits, packed
/// bias     `[C_OUT]`                  i32, rounding constant included
/// output   `[H_OUT, W_OUT, C_OUT]`    codes at the output's step
/// scratch  [`Pairs::scratch_bytes`] of [`CONV_COLUMNS`]
pub fn conv2d<const LINKS: u64>(op: &Conv2d<'_>, input: View<'_>, mut output: ViewMut<'_>, scratch: &mut [u8]) {
    let Some(order) = Pairs::new(Runs::of_window(&op.window, input.shape.c.into()), op.weights.bits) else { return };
    let columns = words(scratch, order.channel_len() / 2 * CONV_COLUMNS);
    let layer = Layer::new(&op.weights, order, op.activation, output.element);
    let gather = Gather { input, window: op.window, zero: op.weights.epilogue.input_zero() };
    let (w, out_ch) = (usize::from(output.shape.w).max(1), usize::from(output.shape.c).max(1));
    let pixels = output.len() / out_ch;
    let mut first = 0;
    while first < pixels {
        // The last pixels are computed with some before them, once more; where there are fewer than four, one by one, each
        // as the last of four that are written to one place.
        let (start, slot, pitch) = if pixels < CONV_COLUMNS {
            (first, CONV_COLUMNS - 1, 0)
        } else {
            (first.min(pixels - CONV_COLUMNS), 0, out_ch)
        };
        let (mut oy, mut ox) = (usize::from(output.first_row) + start / w, start % w);
        for column in slot..CONV_COLUMNS {
            gather.column(oy, ox, columns.get_mut(column..).unwrap_or_default());
            ox += 1;
            if ox == w {
                (oy, ox) = (oy + 1, 0);
            }
        }
        layer.multiply::<LINKS, CONV_COLUMNS>(columns, start, pitch, &mut output);
        first = if pitch == 0 { first + 1 } else { start + CONV_COLUMNS };
    }
}
