use super::CONV_COLUMNS;
use super::columns::Gather;
use super::layer::Entry;
use crate::format::{Blocks, Conv2d, Links};
use crate::kernels::Bands;

/// 2-D convolution of one group, weights in [`Blocks`]: three pixels of the output at a time. Spec 4.1.
///
/// input    `[H, W, C_IN]`             codes of one byte, at the input's step
/// weights  `[C_OUT, K_H, K_W, C_IN]`  4 or 8 bits, packed
/// bias     `[C_OUT]`                  i32, with all that is folded into it
/// output   `[H_OUT, W_OUT, C_OUT]`    codes at the output's step
/// scratch  [`Blocks::scratch_bytes`] of [`CONV_COLUMNS`], unless [`Blocks::is_direct`]
pub fn conv2d<const LINKS: Links>(op: &Conv2d<'_>, bands: &mut Bands<'_, LINKS>, scratch: &mut [u8]) {
    let (input, output) = (bands.input(), bands.output());
    let len = op.window.taps() * usize::from(input.shape.c);
    let Some(order) = Blocks::new(len, op.weights.bits, (input.element, output.element)) else { return };
    let entry = Entry::of(&op.weights);
    let mut gather = Gather::new(input, &op.window, order, op.weights.epilogue.input_zero(), output);
    let shape = (output.shape.c, gather.column_step());
    let Some(multiplier) = entry.multiplier::<LINKS>(&op.weights, order, op.activation, shape) else { return };
    let out_ch = usize::from(output.shape.c).max(1);
    while let Some((input, output)) = bands.next() {
        gather.begin(output.first_row);
        let run_len = if gather.is_linear() { output.bytes.len() } else { out_ch * usize::from(output.shape.w) };
        for run in output.bytes.chunks_mut(run_len.max(1)) {
            let mut tiles = run.chunks_exact_mut(CONV_COLUMNS * out_ch);
            for codes in &mut tiles {
                multiplier.run::<LINKS, CONV_COLUMNS>(gather.next::<CONV_COLUMNS>(&input, scratch), codes);
            }
            let rest = tiles.into_remainder();
            if rest.len() >= 2 * out_ch {
                multiplier.run::<LINKS, 2>(gather.next::<2>(&input, scratch), rest);
            } else if !rest.is_empty() {
                multiplier.run::<LINKS, 1>(gather.next::<1>(&input, scratch), rest);
            }
        }
    }
}
