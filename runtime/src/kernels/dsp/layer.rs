//! A layer's constants as the inner loops take them, and its end where an inner loop has none.

use super::instructions::Multiplier;
use super::scale::Scale;
use super::tile::{End, Filters, Tile};
use crate::format::{ALL_LINKS, Activation, Case, Detail, Element, Links, Weights, has_odd_ends, has_slow_ends};
use crate::kernels::ViewMut;

/// Pairs of channels whose accumulators are taken out of an inner loop at a time.
const PAIRS_AT_A_TIME: usize = 4;

/// Bytes of those of four pixels.
const ACCUMULATOR_BYTES: usize = PAIRS_AT_A_TIME * 2 * 4 * 4;

/// Accumulators, aligned as words.
#[repr(align(4))]
struct Accumulators([u8; ACCUMULATOR_BYTES]);

/// The output channels of a layer in [`Pairs`](crate::format::Pairs).
#[derive(Debug)]
pub(super) struct Channels<'a> {
    weights: &'a Weights<'a>,
    activation: Activation,
    count: usize,
    /// What the inner loops end all channels in.
    end: End,
    /// Words of the column of a pixel.
    words: usize,
    joined: bool,
}

/// Pixels of the output that are computed together.
#[derive(Debug)]
pub(super) struct Pixels<'r, 'o> {
    /// Index of the first one.
    pub(super) first: usize,
    pub(super) output: &'r mut ViewMut<'o>,
}

impl<'a> Channels<'a> {
    /// Those of so many output channels.
    ///
    /// words   of the column of a pixel
    /// joined  as [`Pairs::joined`](crate::format::Pairs::joined)
    #[inline]
    pub(super) fn new<const LINKS: Links>(
        weights: &'a Weights<'a>,
        activation: Activation,
        (output, out_ch): (Element, u16),
        words: usize,
        joined: bool,
    ) -> Self {
        let end = end::<LINKS>(weights, activation, output);
        Self { weights, activation, count: out_ch.into(), end, words, joined }
    }

    /// No inner loop has the layer's end.
    const fn is_slow<const LINKS: Links>(&self) -> bool {
        has_slow_ends(LINKS) && matches!(self.end, End::Accumulators)
    }

    /// Pairs that the inner loops end where their codes go, from the first one on.
    const fn fast<const LINKS: Links>(&self) -> usize {
        if self.is_slow::<LINKS>() { 0 } else { self.count / 2 }
    }

    /// The filters of those pairs.
    #[inline]
    pub(super) fn filters<const LINKS: Links>(&self) -> Filters<'a> {
        Filters {
            bits: self.weights.bits,
            joined: self.joined,
            single: false,
            weights: self.weights.codes,
            bias: part(self.weights.bias, 0, 8 * self.fast::<LINKS>()),
            scale: Scale::new::<LINKS>(&self.weights.epilogue, 0),
            end: self.end,
        }
    }

    /// Computes the channels that are not among [`Self::filters`].
    ///
    /// run  runs an inner loop over the pixels, whose codes of a channel it writes two bytes apart
    #[inline]
    pub(super) fn rest<const LINKS: Links, const PIXELS: usize>(
        &self,
        mut pixels: Pixels<'_, '_>,
        run: impl Fn(Filters<'_>, &mut [u8]),
    ) {
        let mut pair = self.fast::<LINKS>();
        if has_odd_ends(LINKS) && 2 * pair < self.count && !self.is_slow::<LINKS>() {
            return self.odd::<LINKS, PIXELS>(&mut pixels, run);
        }
        while has_slow_ends(LINKS) && 2 * pair < self.count {
            let count = PAIRS_AT_A_TIME.min(self.count.div_ceil(2) - pair);
            self.slow::<LINKS, PIXELS>((pair, count), &mut pixels, &run);
            pair += count;
        }
    }

    /// The last channel where their number is odd: a pair whose second channel is padding.
    #[inline]
    fn odd<const LINKS: Links, const PIXELS: usize>(
        &self,
        pixels: &mut Pixels<'_, '_>,
        run: impl Fn(Filters<'_>, &mut [u8]),
    ) {
        let channel = self.count - 1;
        let mut bias = [[0; 4]; 2];
        if let Some(given) = self.weights.bias.as_chunks().0.get(channel) {
            bias[0] = *given;
        }
        let scale = Scale { step: 0, ..Scale::new::<LINKS>(&self.weights.epilogue, channel) };
        let filters = Filters {
            single: true,
            weights: self.codes(channel / 2),
            bias: bias.as_flattened(),
            scale,
            ..self.filters::<LINKS>()
        };
        let mut codes = [0; 2 * super::CONV_COLUMNS];
        run(filters, codes.get_mut(..2 * PIXELS).unwrap_or_default());
        let first = pixels.first * self.count + channel;
        let targets = pixels.output.bytes.iter_mut().skip(first).step_by(self.count);
        for (target, code) in targets.zip(codes.iter().step_by(2)).take(PIXELS) {
            *target = *code;
        }
    }

    /// Pairs whose end no inner loop has, of which one channel may be padding.
    #[inline(never)]
    fn slow<const LINKS: Links, const PIXELS: usize>(
        &self,
        (pair, count): (usize, usize),
        pixels: &mut Pixels<'_, '_>,
        run: impl Fn(Filters<'_>, &mut [u8]),
    ) {
        let mut bias = [0; 8 * PAIRS_AT_A_TIME];
        let given = part(self.weights.bias, 8 * pair, 8 * count);
        for (bias, given) in bias.iter_mut().zip(given) {
            *bias = *given;
        }
        let filters = Filters {
            weights: self.codes(pair),
            bias: bias.get(..8 * count).unwrap_or_default(),
            scale: Scale::NONE,
            end: End::Accumulators,
            ..self.filters::<LINKS>()
        };
        let mut accumulators = Accumulators([0; ACCUMULATOR_BYTES]);
        run(filters, &mut accumulators.0);
        for (index, channel) in accumulators.0.as_chunks::<4>().0.chunks_exact(PIXELS).take(2 * count).enumerate() {
            let oc = 2 * pair + index;
            if oc >= self.count {
                return;
            }
            let start = pixels.first * self.count + oc;
            let requantizer = self.weights.epilogue.channel(oc);
            for (at, acc) in channel.iter().enumerate() {
                let acc = i32::from_le_bytes(*acc);
                pixels.output.put(start + at * self.count, requantizer.apply::<LINKS>(acc, self.activation));
            }
        }
    }

    /// The codes of a pair and those behind it.
    #[inline]
    fn codes(&self, pair: usize) -> &'a [u8] {
        let pair_bytes = self.words * self.weights.bits.bits() as usize / 2;
        self.weights.codes.get(pair * pair_bytes..).unwrap_or_default()
    }
}

/// A layer whose inner loops multiply the columns of so many pixels at a time: four, or one.
#[derive(Debug)]
pub(super) struct Layer<'a> {
    channels: &'a Channels<'a>,
    multiplier: Multiplier<'a>,
}

impl<'a> Layer<'a> {
    /// That of all channels.
    pub(super) fn new<const LINKS: Links>(channels: &'a Channels<'a>, pixels: usize) -> Self {
        let multiplier =
            Multiplier::new::<LINKS>(channels.filters::<LINKS>(), (channels.words, pixels), channels.count);
        Self { channels, multiplier }
    }

    /// Multiplies the columns of pixels by all channels.
    ///
    /// pixel  index in the output of the first one
    #[inline]
    pub(super) fn multiply<const LINKS: Links, const PIXELS: usize>(
        &mut self,
        columns: &[u32],
        pixel: usize,
        output: &mut ViewMut<'_>,
    ) {
        let channels = self.channels;
        let codes = output.bytes.get_mut(pixel * channels.count..).unwrap_or_default();
        self.multiplier.run::<LINKS, PIXELS>(Tile { columns, output: codes });
        channels.rest::<LINKS, PIXELS>(Pixels { first: pixel, output }, |filters, output| {
            multiply_once::<LINKS, PIXELS>(filters, channels.words, Tile { columns, output });
        });
    }
}

/// Apart, for what it takes of the stack.
#[inline(never)]
fn multiply_once<const LINKS: Links, const PIXELS: usize>(filters: Filters<'_>, words: usize, tile: Tile<'_>) {
    Multiplier::new::<LINKS>(filters, (words, PIXELS), 2).run::<LINKS, PIXELS>(tile);
}

/// `len` bytes from `start` on; fewer where there are fewer.
fn part(bytes: &[u8], start: usize, len: usize) -> &[u8] {
    let rest = bytes.get(start..).unwrap_or_default();
    rest.get(..len).unwrap_or(rest)
}

/// The end that the inner loop has for a layer, if any: what [`Scale::is_right`], and a saturate that is one instruction.
pub(super) const fn end<const LINKS: Links>(weights: &Weights<'_>, activation: Activation, output: Element) -> End {
    // Where no layer has another end, the first saturate that fits is the one.
    if !has_slow_ends(LINKS) {
        linked_saturate::<LINKS>(activation, output)
    } else if Scale::is_right::<LINKS>(&weights.epilogue) {
        saturate(activation, output)
    } else {
        End::Accumulators
    }
}

/// Whether the inner loops have the end of a layer.
pub const fn has_end(weights: &Weights<'_>, activation: Activation, output: Element) -> bool {
    !matches!(end::<ALL_LINKS>(weights, activation, output), End::Accumulators)
}

/// Whether the loops of sums have the saturate of an activation.
pub(super) fn has_saturate(activation: Activation, output: Element) -> bool {
    let end = saturate(activation, output);
    if output == Element::U8 { end == End::Unsigned8 } else { end != End::Accumulators }
}

/// The saturate that is one instruction, of something that has one: known while compiling where the program links one alone.
#[inline]
pub(super) const fn linked_saturate<const LINKS: Links>(activation: Activation, output: Element) -> End {
    if has_slow_ends(LINKS) || Case::Operator.is_in(LINKS) {
        return saturate(activation, output);
    }
    let (signed, others) =
        (Detail::Signed8.is_in(LINKS), Detail::Unsigned7.is_in(LINKS) || Detail::Unsigned8.is_in(LINKS));
    if signed && (!others || activation.min < 0) {
        End::Signed8
    } else if Detail::Unsigned8.is_in(LINKS) && (!Detail::Unsigned7.is_in(LINKS) || activation.max > 127) {
        End::Unsigned8
    } else {
        End::Unsigned7
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

#[cfg(test)]
mod tests {
    use super::{linked_saturate, saturate};
    use crate::format::{Activation, Detail, Element, Links};
    use crate::kernels::dsp::End;

    const SIGNED8: Links = Detail::Signed8.bit();
    const UNSIGNED7: Links = Detail::Unsigned7.bit();
    const UNSIGNED8: Links = Detail::Unsigned8.bit();

    /// In a program that links `LINKS` and no case, every layer whose saturate is among them gets it.
    fn are_found<const LINKS: Links>() {
        let bounds = [(Element::I8, -128, 127), (Element::I8, 0, 127), (Element::U8, 0, 127), (Element::U8, 0, 255)];
        for (element, min, max) in bounds {
            let activation = Activation { min, max };
            let end = saturate(activation, element);
            let detail = match end {
                End::Signed8 => SIGNED8,
                End::Unsigned7 => UNSIGNED7,
                End::Unsigned8 => UNSIGNED8,
                End::Accumulators => 0,
            };
            if LINKS & detail != 0 {
                assert_eq!(linked_saturate::<LINKS>(activation, element), end, "{min} to {max}, links {LINKS:#x}");
            }
        }
    }

    #[test]
    fn the_saturate_of_a_layer_is_found_among_those_that_are_linked() {
        are_found::<SIGNED8>();
        are_found::<UNSIGNED7>();
        are_found::<UNSIGNED8>();
        are_found::<{ SIGNED8 | UNSIGNED7 }>();
        are_found::<{ SIGNED8 | UNSIGNED8 }>();
        are_found::<{ UNSIGNED7 | UNSIGNED8 }>();
        are_found::<{ SIGNED8 | UNSIGNED7 | UNSIGNED8 }>();
    }
}
