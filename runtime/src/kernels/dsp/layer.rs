//! A layer's constants as the inner loops take them, and its end where an inner loop has none.

use super::CONV_COLUMNS;
use super::instructions::Multiplier;
use super::scale::Scale;
use super::tile::{End, Filters, Tile};
use crate::format::{ALL_LINKS, Activation, Case, Detail, Element, Links, Pairs, Weights};
use crate::kernels::ViewMut;

/// Pairs of channels whose accumulators are taken out of an inner loop at a time.
const PAIRS_AT_A_TIME: usize = 4;

/// Bytes of those of four pixels.
const ACCUMULATOR_BYTES: usize = PAIRS_AT_A_TIME * 2 * 4 * 4;

/// Accumulators, aligned as words.
#[repr(align(4))]
struct Accumulators([u8; ACCUMULATOR_BYTES]);

/// The constants of a layer in [`Pairs`].
#[derive(Debug, Clone, Copy)]
pub(super) struct Layer<'a> {
    weights: &'a Weights<'a>,
    order: Pairs,
    activation: Activation,
    /// Pairs of channels that the inner loops end, from the first one on.
    fast: usize,
    multiplier: Option<Multiplier<'a>>,
}

impl<'a> Layer<'a> {
    /// That of so many output channels.
    pub(super) fn new<const LINKS: Links>(
        weights: &'a Weights<'a>,
        order: Pairs,
        activation: Activation,
        (output, out_ch): (Element, u16),
    ) -> Self {
        let end = end::<LINKS>(weights, activation, output);
        let fast = if end == End::Accumulators { 0 } else { usize::from(out_ch / 2) };
        let filters = Filters {
            bits: order.bits,
            weights: weights.codes,
            bias: part(weights.bias, 0, 8 * fast),
            scale: Scale::new::<LINKS>(&weights.epilogue, 0),
            end,
        };
        let multiplier = Multiplier::new::<LINKS>(filters, order.channel_len() / 2);
        Self { weights, order, activation, fast, multiplier }
    }

    /// Multiplies the columns of `PIXELS` pixels by all channels.
    ///
    /// pixel  index in the output of the first one
    #[inline]
    pub(super) fn multiply<const LINKS: Links, const PIXELS: usize>(
        &self,
        columns: &[u32],
        pixel: usize,
        output: &mut ViewMut<'_>,
    ) {
        let out_ch = usize::from(output.shape.c);
        if let Some(multiplier) = &self.multiplier {
            let bytes = output.bytes.get_mut(pixel * out_ch..).unwrap_or_default();
            multiplier.run::<LINKS, PIXELS>(Tile { columns, output: bytes, pitch: out_ch });
        }
        let mut pair = self.fast;
        while Case::End.is_in(LINKS) && 2 * pair < out_ch {
            let count = PAIRS_AT_A_TIME.min(out_ch.div_ceil(2) - pair);
            self.slow::<LINKS>((columns, PIXELS), (pair, count), pixel, output);
            pair += count;
        }
    }

    /// Pairs whose end no inner loop has, or of which one channel is padding.
    #[inline(never)]
    fn slow<const LINKS: Links>(
        &self,
        (columns, pixels): (&[u32], usize),
        (pair, count): (usize, usize),
        pixel: usize,
        output: &mut ViewMut<'_>,
    ) {
        let out_ch = usize::from(output.shape.c);
        let mut bias = [0; 8 * PAIRS_AT_A_TIME];
        let given = part(self.weights.bias, 8 * pair, 8 * count);
        for (bias, given) in bias.iter_mut().zip(given) {
            *bias = *given;
        }
        let pair_bytes = self.order.channel_len() * 2 * self.order.bits.bits() as usize / 8;
        let filters = Filters {
            bits: self.order.bits,
            weights: self.weights.codes.get(pair * pair_bytes..).unwrap_or_default(),
            bias: bias.get(..8 * count).unwrap_or_default(),
            scale: Scale::NONE,
            end: End::Accumulators,
        };
        let Some(multiplier) = Multiplier::new::<LINKS>(filters, self.order.channel_len() / 2) else { return };
        let mut accumulators = Accumulators([0; ACCUMULATOR_BYTES]);
        let tile = Tile { columns, output: &mut accumulators.0, pitch: out_ch };
        if pixels == CONV_COLUMNS {
            multiplier.run::<LINKS, CONV_COLUMNS>(tile);
        } else {
            multiplier.run::<LINKS, 1>(tile);
        }
        for (index, channel) in
            accumulators.0.as_chunks::<4>().0.chunks_exact(pixels.max(1)).take(2 * count).enumerate()
        {
            let oc = 2 * pair + index;
            if oc >= out_ch {
                return;
            }
            let start = pixel * out_ch + oc;
            let requantizer = self.weights.epilogue.channel(oc);
            for (at, acc) in channel.iter().enumerate() {
                let acc = i32::from_le_bytes(*acc);
                output.put(start + at * out_ch, requantizer.apply::<LINKS>(acc, self.activation));
            }
        }
    }
}

/// `len` bytes from `start` on; fewer where there are fewer.
fn part(bytes: &[u8], start: usize, len: usize) -> &[u8] {
    let rest = bytes.get(start..).unwrap_or_default();
    rest.get(..len).unwrap_or(rest)
}

/// The end that the inner loop has for a layer, if any: what [`Scale::is_right`], and a saturate that is one instruction.
pub(super) fn end<const LINKS: Links>(weights: &Weights<'_>, activation: Activation, output: Element) -> End {
    // Where no layer has another end, the first saturate that fits is the one.
    if !Case::End.is_in(LINKS) {
        linked_saturate::<LINKS>(activation, output)
    } else if Scale::is_right::<LINKS>(&weights.epilogue) {
        saturate(activation, output)
    } else {
        End::Accumulators
    }
}

/// Whether the inner loops have the end of a layer.
pub fn has_end(weights: &Weights<'_>, activation: Activation, output: Element) -> bool {
    end::<ALL_LINKS>(weights, activation, output) != End::Accumulators
}

/// Whether the loops of sums have the saturate of an activation.
pub(super) fn has_saturate(activation: Activation, output: Element) -> bool {
    let end = saturate(activation, output);
    if output == Element::U8 { end == End::Unsigned8 } else { end != End::Accumulators }
}

/// The saturate that is one instruction, of something that has one: known while compiling where the program links one alone.
#[inline]
pub(super) const fn linked_saturate<const LINKS: Links>(activation: Activation, output: Element) -> End {
    let linked = (Detail::Signed8.is_in(LINKS), Detail::Unsigned7.is_in(LINKS), Detail::Unsigned8.is_in(LINKS));
    match linked {
        (true, false, false) => End::Signed8,
        (false, true, false) => End::Unsigned7,
        (false, false, true) => End::Unsigned8,
        _ => saturate(activation, output),
    }
}

/// The saturate that is one instruction, if any.
pub(in crate::kernels) const fn saturate(activation: Activation, output: Element) -> End {
    match (output, activation.min, activation.max) {
        (Element::I8, -128, 127) => End::Signed8,
        (Element::I8 | Element::U8, 0, 127) => End::Unsigned7,
        (Element::U8, 0, 255) => End::Unsigned8,
        _ => End::Accumulators,
    }
}
