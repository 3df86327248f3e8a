use super::CONV_COLUMNS;
use super::columns::Gather;
use super::layer::{Entry, Layer};
use crate::format::{Blocks, Conv2d};
use crate::kernels::{View, ViewMut};

/// 2-D convolution of one group, weights in [`Blocks`]: three pixels of the output at a time. Spec 4.1.
///
/// input    `[H, W, C_IN]`             codes of one byte, at the input's step
/// weights  `[C_OUT, K_H, K_W, C_IN]`  4 or 8 bits, packed
/// bias     `[C_OUT]`                  i32, with all that is folded into it
/// output   `[H_OUT, W_OUT, C_OUT]`    codes at the output's step
/// scratch  [`Blocks::scratch_bytes`] of [`CONV_COLUMNS`], unless [`Blocks::is_direct`]
pub fn conv2d<const LINKS: u64>(op: &Conv2d<'_>, input: View<'_>, mut output: ViewMut<'_>, scratch: &mut [u8]) {
    let len = op.window.taps() * usize::from(input.shape.c);
    let Some(order) = Blocks::new(len, op.weights.bits, (input.element(), output.element)) else { return };
    let entry = Entry::of(&op.weights);
    let layer = Layer::new(&op.weights, &entry, order, op.activation);
    let start = (usize::from(output.first_row), usize::from(output.shape.w));
    let mut gather = Gather::new(input, op.window, order, op.weights.epilogue.input_zero(), start);
    let pixels = output.len().checked_div(output.shape.c.into()).unwrap_or(0);
    let mut pixel = 0;
    while pixel + CONV_COLUMNS <= pixels {
        layer.multiply::<LINKS, CONV_COLUMNS>(gather.next(scratch), pixel, &mut output);
        pixel += CONV_COLUMNS;
    }
    match pixels - pixel {
        2 => layer.multiply::<LINKS, 2>(gather.next(scratch), pixel, &mut output),
        1 => layer.multiply::<LINKS, 1>(gather.next(scratch), pixel, &mut output),
        _ => {}
    }
}
