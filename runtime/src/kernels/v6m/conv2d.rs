use super::columns::Gather;
use super::flip;
use super::instructions::multiply;
use super::layer::{Layer, words};
use super::tile::{CHANNELS, PIXELS, Target, Tile};
use crate::format::{Conv2d, Fours, Links};
use crate::kernels::{View, ViewMut};

/// 2-D convolution of one group, weights in [`Fours`]: two pixels of the output at a time. Spec 4.1.
///
/// input    `[H, W, C_IN]`             codes of 8 bits at the input's step
/// weights  `[C_OUT, K_H, K_W, C_IN]`  8 bits, packed
/// bias     `[C_OUT]`                  i32, rounding constant and offset included
/// output   `[H_OUT, W_OUT, C_OUT]`    codes at the output's step
/// scratch  [`Fours::column_bytes`] and [`Fours::bias_bytes`]
pub fn conv2d<const LINKS: Links>(op: &Conv2d<'_>, input: View<'_>, mut output: ViewMut<'_>, scratch: &mut [u8]) {
    let filter_len = op.window.taps() * usize::from(input.shape.c);
    let order = Fours::new(filter_len);
    let (out_ch, w) = (usize::from(output.shape.c).max(1), usize::from(output.shape.w).max(1));
    let biases = out_ch.next_multiple_of(CHANNELS);
    let words = words(scratch, order.channel_len() + biases);
    let (columns, biases) = words.split_at_mut(order.channel_len().min(words.len()));
    let layer = Layer::new(&op.weights, biases, op.activation, output.element);
    let zero = op.weights.epilogue.input_zero();
    let mut gather = Gather::new(input, op.window, zero, flip(input.element()), w);
    let pixels = output.len() / out_ch;
    let (mut oy, mut ox) = (output.first_row, 0);
    gather.row(oy);
    for first in (0..pixels).step_by(PIXELS) {
        // The last one of an odd number fills both halves, and is written twice.
        let pitch = if first + 1 < pixels { out_ch } else { 0 };
        gather.pixel(ox, 0, columns);
        if pitch > 0 {
            (oy, ox) = next(oy, ox, w, &mut gather);
        }
        gather.pixel(ox, 1, columns);
        (oy, ox) = next(oy, ox, w, &mut gather);
        // An input of 128 + x makes 128 times the weights' sum too much, a weight of 128 + w that much of the inputs'.
        let corrections = gather.complete(filter_len, columns).map(|sum| -128 * sum);
        let pair = Pair { layer: &layer, codes: op.weights.codes, columns, corrections, first: first * out_ch, pitch };
        pair.multiply::<LINKS>(&mut output);
    }
}

/// The pixel behind one.
fn next(oy: usize, ox: usize, w: usize, gather: &mut Gather<'_>) -> (usize, usize) {
    if ox + 1 < w {
        return (oy, ox + 1);
    }
    gather.row(oy + 1);
    (oy + 1, 0)
}

/// Two pixels of the output, and what gives them.
struct Pair<'a> {
    layer: &'a Layer<'a>,
    codes: &'a [u8],
    columns: &'a [u32],
    corrections: [i32; PIXELS],
    /// Index of the first pixel's first code.
    first: usize,
    /// Codes to the second one's.
    pitch: usize,
}

impl Pair<'_> {
    /// All channels.
    fn multiply<const LINKS: Links>(&self, output: &mut ViewMut<'_>) {
        let out_ch = usize::from(output.shape.c);
        let whole = if self.layer.has_end { out_ch / CHANNELS * CHANNELS } else { 0 };
        if whole > 0 {
            let bytes = output.bytes.get_mut(self.first..).unwrap_or_default();
            multiply(self.tile(0, whole, self.layer.codes(0, bytes)));
        }
        for channel in (whole..out_ch).step_by(CHANNELS) {
            self.slow::<LINKS>(channel, output);
        }
    }

    /// Four channels whose end no inner loop has, or of which some are padding.
    #[inline(never)]
    fn slow<const LINKS: Links>(&self, channel: usize, output: &mut ViewMut<'_>) {
        let mut accumulators = [0; CHANNELS * PIXELS];
        multiply(self.tile(channel, CHANNELS, Target::Accumulators(&mut accumulators)));
        for (index, acc) in accumulators.as_chunks::<PIXELS>().0.iter().enumerate() {
            for (pixel, acc) in acc.iter().enumerate() {
                self.layer.finish::<LINKS>(*acc, channel + index, self.first + pixel * self.pitch, output);
            }
        }
    }

    fn tile<'t>(&'t self, channel: usize, count: usize, target: Target<'t>) -> Tile<'t> {
        Tile {
            weights: self.codes.get(channel * self.columns.len()..).unwrap_or_default(),
            columns: self.columns,
            biases: self.layer.biases(channel, count),
            corrections: self.corrections,
            pitch: self.pitch,
            target,
        }
    }
}
