//! The order of a layer's weights in its blob.

use serde::{Deserialize, Serialize};

use super::{Detail, Element, Links, Shape, WeightBits, Window};

/// The order of a layer's weights, and by it the kernels that run the layer. Format 4.1.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[repr(u8)]
#[non_exhaustive]
pub enum Packing {
    /// The operator's own order, which the portable kernels read.
    #[default]
    Plain,
    /// Two output channels and four weights of each side by side, for `SMLAD`: see [`Pairs`].
    Pairs,
    /// Blocks of 16 weights, for Helium: see [`Blocks`](super::Blocks) and [`Lanes`](super::Lanes).
    Blocks,
    /// Four output channels side by side, for `MULS` on cores without other multiplications: see [`Fours`].
    Fours,
    /// Transformed kernels of 3x3, for `SMLAD`: see [`Winograd`](super::Winograd).
    Winograd,
    /// As [`Self::Pairs`], but for weights of 8 bits of a convolution, which are [joined](Pairs::joined).
    Joined,
}

impl Packing {
    /// Every packing, in the order of its number.
    pub const ALL: [Self; 6] = [Self::Plain, Self::Pairs, Self::Blocks, Self::Fours, Self::Winograd, Self::Joined];

    /// One of the two orders in [`Pairs`] and [`Quads`].
    #[must_use]
    pub const fn is_paired(self) -> bool {
        matches!(self, Self::Pairs | Self::Joined)
    }

    /// Whether one of them is in a set.
    #[inline]
    pub(crate) const fn paired_in(links: Links) -> bool {
        Self::Pairs.is_in(links) || Self::Joined.is_in(links)
    }

    /// One of them, of those that the program links.
    #[inline]
    pub(crate) const fn is_paired_in<const LINKS: Links>(self) -> bool {
        match self {
            Self::Pairs => Self::Pairs.is_in(LINKS),
            Self::Joined => Self::Joined.is_in(LINKS),
            _ => false,
        }
    }
}

/// Bytes of the arena that a node uses while it runs, apart from its tensors.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Scratch {
    /// First byte in the arena.
    pub offset: u32,
    /// Number of bytes; 0 where the node needs none.
    pub bytes: u32,
}

impl Scratch {
    /// The bytes of the arena; of none, those before its first.
    #[must_use]
    pub const fn region(&self) -> core::ops::Range<usize> {
        let start = if self.bytes == 0 { 0 } else { self.offset as usize };
        start..start + self.bytes as usize
    }

    /// Itself; none in a program that links no layer with a scratch.
    pub(crate) fn linked<const LINKS: Links>(self) -> Self {
        if Detail::Scratch.is_in(LINKS) { self } else { Self::default() }
    }
}

/// How the weights of one output channel fall into runs: stretches whose inputs lie side by side.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Runs {
    /// Number of runs.
    pub count: usize,
    /// Weights of a run.
    pub len: usize,
}

impl Runs {
    /// Of a convolution of one group: a row of the kernel, or one entry of it where it is dilated.
    #[must_use]
    pub const fn of_window(window: &Window, in_ch: usize) -> Self {
        if window.dilation_w == 1 {
            Self { count: window.kernel_h as usize, len: window.kernel_w as usize * in_ch }
        } else {
            Self { count: window.taps(), len: in_ch }
        }
    }

    /// Of a fully connected layer.
    #[must_use]
    pub const fn whole(len: usize) -> Self {
        Self { count: 1, len }
    }
}

/// The orders [`Packing::Pairs`] and [`Packing::Joined`].
///
/// Runs are padded with zeros to whole quads, channels to pairs. A pair of channels `a`, `b` and a quad of their weights
/// is two steps of two products a channel: `[a0, b0, a2, b2]` and `[a1, b1, a3, b3]`, so that one `SXTB16` of a word gives the
/// weights 0 and 2 of `a`, and one that rotates by 8 those of `b`. Of 16 bits: `[a0, a2, b0, b2]` and `[a1, a3, b1, b3]`.
/// Of 4 bits the first step lies in the low halves of the bytes, the second one in the high halves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Pairs {
    /// The runs of a channel.
    pub runs: Runs,
    /// Width of a code.
    pub bits: WeightBits,
    /// Whether the weights `a` and `b` of a pair lie as the two halves of `256 * b + a`, which is read as a number with a sign. A
    /// product with it adds `a` and `256 * b` times an input to one accumulator, from which the first channel's is subtracted
    /// in the end: the second channel's weights need not be taken out, and its accumulator has 24 bits.
    pub joined: bool,
}

impl Pairs {
    /// The order for layers that have one: none of 2 bits, none whose padding would double the weights.
    #[must_use]
    pub const fn new(runs: Runs, bits: WeightBits) -> Option<Self> {
        let order = Self { runs, bits, joined: false };
        let sparse = order.channel_len() > 2 * runs.count * runs.len + 4;
        if matches!(bits, WeightBits::Two) || sparse { None } else { Some(order) }
    }

    /// As [`Self::new`], of a convolution whose weights are in one of both packings.
    #[must_use]
    pub const fn of_tiles(packing: Packing, runs: Runs, bits: WeightBits) -> Option<Self> {
        let Some(order) = Self::new(runs, bits) else { return None };
        let joined = matches!((packing, bits), (Packing::Joined, WeightBits::Eight));
        Some(Self { joined, ..order })
    }

    /// What the second channel's code is less by than its weight where it is joined to a weight of the first one.
    #[must_use]
    pub const fn borrowed(first: i32) -> i32 {
        (first < 0) as i32
    }

    /// The weight at `index` of a channel.
    ///
    /// code  the code at a place in the blob
    pub fn weight(&self, channel: usize, index: usize, code: impl Fn(usize) -> i32) -> i32 {
        let weight = code(self.place(channel, index));
        if self.joined && channel % 2 == 1 {
            weight + Self::borrowed(code(self.place(channel - 1, index)))
        } else {
            weight
        }
    }

    /// Codes of a run, padding included.
    #[must_use]
    pub const fn run_len(&self) -> usize {
        self.runs.len.next_multiple_of(4)
    }

    /// Codes of a channel, padding included.
    #[must_use]
    pub const fn channel_len(&self) -> usize {
        self.runs.count.saturating_mul(self.run_len())
    }

    /// Codes of a layer, padding included.
    #[must_use]
    pub const fn len(&self, out_ch: usize) -> usize {
        self.channel_len().saturating_mul(out_ch.next_multiple_of(2))
    }

    /// True for a layer without weights.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.channel_len() == 0
    }

    /// Index in the blob of code `index` of a channel, padding counted.
    #[must_use]
    pub const fn place(&self, channel: usize, index: usize) -> usize {
        let (quad, entry, second) = (index / 4, index % 4, channel % 2);
        // Step, and place among the four codes of the step.
        let (step, high) = (entry % 2, entry / 2);
        let within = match self.bits {
            WeightBits::Sixteen => step * 4 + second * 2 + high,
            WeightBits::Eight => step * 4 + high * 2 + second,
            WeightBits::Four | WeightBits::Two => (high * 2 + second) * 2 + step,
        };
        (channel / 2 * (self.channel_len() / 4) + quad) * 8 + within
    }

    /// Bytes of scratch for the columns of a number of pixels: inputs of 16 bits, and what brings them to a whole word.
    #[must_use]
    pub const fn scratch_bytes(&self, pixels: usize) -> usize {
        self.channel_len().saturating_mul(2 * pixels).saturating_add(3)
    }

    /// Whether a fully connected layer of such inputs needs no column: its kernel widens them for each two channels where it has no
    /// scratch.
    #[must_use]
    pub const fn has_dot(&self, input: Element) -> bool {
        self.runs.len > 4 && !matches!(input, Element::I16) && !matches!(self.bits, WeightBits::Sixteen)
    }

    /// Left shift that unpacking leaves on products: of weights of 4 bits, and of those that are joined.
    #[must_use]
    pub const fn scaled_by(&self) -> u32 {
        let unpacked = if matches!(self.bits, WeightBits::Four) { 4 } else { 0 };
        unpacked + if self.joined { 8 } else { 0 }
    }
}

/// The order that [`Packing::Pairs`] and [`Packing::Joined`] mean for a depthwise convolution: channels in fours, 16 bits a code,
/// and of each tap the channels 0, 2, 1, 3, as `SXTB16` widens them. Where the channels are no multiple of four, the last four of them
/// follow once more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Quads {
    /// Entries of the kernel.
    pub taps: usize,
    /// At least four.
    pub channels: usize,
}

impl Quads {
    /// The order for layers that have one: one output channel an input channel, four and more.
    #[must_use]
    pub const fn new(window: &Window, in_ch: usize, out_ch: usize, input: Element) -> Option<Self> {
        let fits = in_ch == out_ch && in_ch >= 4 && !matches!(input, Element::I16);
        if fits { Some(Self { taps: window.taps(), channels: in_ch }) } else { None }
    }

    /// Codes of a layer, those that are there twice counted so.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.channels.next_multiple_of(4).saturating_mul(self.taps)
    }

    /// True for a layer without weights.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.taps == 0
    }

    /// Index in the blob of a channel's weight: the first, where it is there twice.
    #[must_use]
    pub const fn place(&self, channel: usize, tap: usize) -> usize {
        if channel / 4 < self.channels / 4 {
            self.place_in(channel / 4, channel % 4, tap)
        } else {
            self.place_in(channel / 4, channel + 4 - self.channels, tap)
        }
    }

    /// The second index, where it is there twice.
    #[must_use]
    pub const fn second_place(&self, channel: usize, tap: usize) -> Option<usize> {
        let whole = self.channels / 4;
        if channel < 4 * whole && channel + 4 >= self.channels && whole * 4 < self.channels {
            Some(self.place_in(whole, channel + 4 - self.channels, tap))
        } else {
            None
        }
    }

    /// That of one of four channels.
    const fn place_in(&self, quad: usize, within: usize, tap: usize) -> usize {
        (quad * self.taps + tap) * 4 + within % 2 * 2 + within / 2
    }
}

/// The order [`Packing::Fours`], of weights of 8 bits that meet inputs of 8 bits.
///
/// For each four channels `a`, `b`, `c`, `d`, weight by weight: `[a0, b0, c0, d0]`, `[a1, b1, c1, d1]`. Channels are padded to fours,
/// weights to an even number. Codes are those of `w + 128` without a sign, which [`Self::code`] gives; inputs are read as `x + 128`
/// where they have one, and the bias holds `-128 * sum(w)` for that, modulo `2^32`. Weights of a depthwise convolution
/// keep their own order and codes, in which the channels lie side by side already.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Fours {
    filter_len: usize,
}

impl Fours {
    /// Channels side by side.
    const CHANNELS: usize = 4;

    /// Codes of the input or weights of a depthwise convolution that lie between two rows or columns of its window: less.
    pub const ROW_LIMIT: usize = 1 << 23;

    /// The order of channels of so many weights each.
    #[must_use]
    pub const fn new(filter_len: usize) -> Self {
        Self { filter_len }
    }

    /// Whether a layer of so many channels is packed: not where padding would double its weights, nor one of more than
    /// 65534 weights a channel.
    #[must_use]
    pub const fn has(&self, out_ch: usize) -> bool {
        self.channel_len() < 1 << 16 && self.len(out_ch) < 2 * self.filter_len * out_ch
    }

    /// Whether a depthwise convolution is: at least four channels of 8 bits, one output of each, and rows within
    /// [`Self::ROW_LIMIT`].
    #[must_use]
    pub const fn has_depthwise(window: &Window, input: Shape, out_ch: u16) -> bool {
        let (w, c) = (input.w as usize, input.c as usize);
        let row = w.saturating_mul(c).saturating_mul(window.dilation_h as usize);
        let (column, filter_row) = (c * window.dilation_w as usize, c * window.kernel_w as usize);
        input.c == out_ch
            && c >= Self::CHANNELS
            && row < Self::ROW_LIMIT
            && column < Self::ROW_LIMIT
            && filter_row < Self::ROW_LIMIT
    }

    /// Codes of a channel, padding included.
    #[must_use]
    pub const fn channel_len(&self) -> usize {
        self.filter_len.next_multiple_of(2)
    }

    /// Codes of a layer, padding included.
    #[must_use]
    pub const fn len(&self, out_ch: usize) -> usize {
        self.channel_len().saturating_mul(out_ch.next_multiple_of(Self::CHANNELS))
    }

    /// True for a layer without weights.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.filter_len == 0
    }

    /// Index in the blob of code `index` of a channel.
    #[must_use]
    pub const fn place(&self, channel: usize, index: usize) -> usize {
        (channel / Self::CHANNELS * self.channel_len() + index) * Self::CHANNELS + channel % Self::CHANNELS
    }

    /// From a weight to its code, and back.
    #[must_use]
    pub const fn code(weight: i8) -> i8 {
        weight ^ i8::MIN
    }

    /// What the bias holds for inputs that are read as 128 more: to be added to it where they are.
    #[must_use]
    pub const fn offset(weights: i32) -> i32 {
        weights.wrapping_mul(-128)
    }

    /// Bytes of scratch for the column of two pixels, and what brings them to a whole word.
    #[must_use]
    pub const fn column_bytes(&self) -> usize {
        self.channel_len().saturating_mul(4).saturating_add(3)
    }

    /// Bytes of scratch for the biases of so many channels, words like the column's.
    #[must_use]
    pub const fn bias_bytes(out_ch: usize) -> usize {
        out_ch.next_multiple_of(Self::CHANNELS).saturating_mul(4)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_code_has_a_place_of_its_own() {
        for bits in [WeightBits::Four, WeightBits::Eight, WeightBits::Sixteen] {
            for (count, len, out_ch) in [(1, 4, 2_usize), (3, 9, 5), (2, 7, 4), (1, 64, 3)] {
                let order = Pairs::new(Runs { count, len }, bits).unwrap();
                let channels = out_ch.next_multiple_of(2);
                let all = (0..channels).flat_map(|channel| (0..order.channel_len()).map(move |index| (channel, index)));
                let places: BTreeSet<usize> = all.map(|(channel, index)| order.place(channel, index)).collect();
                assert_eq!(places.len(), order.len(out_ch));
                assert_eq!(places.last(), Some(&(order.len(out_ch) - 1)));
            }
        }
    }

    #[test]
    fn quads_have_every_weight_and_the_last_four_channels_side_by_side() {
        for channels in [4, 5, 6, 7, 8, 10, 11] {
            let order = Quads::new(&Window::new(3, 2), channels, channels, Element::I8).unwrap();
            let mut found = std::vec![None; order.len()];
            for (channel, tap) in (0..channels).flat_map(|channel| (0..6).map(move |tap| (channel, tap))) {
                for place in std::iter::once(order.place(channel, tap)).chain(order.second_place(channel, tap)) {
                    assert_eq!(found[place].replace((channel, tap)), None, "{channels}: {channel}, {tap}");
                }
            }
            assert!(found.iter().all(Option::is_some), "{channels}: {found:?}");
            let last = found[order.len() - 4..].iter().map(|found| found.unwrap());
            assert!(last.eq([0, 2, 1, 3].map(|within| (channels - 4 + within, 5))), "{channels}");
        }
        assert_eq!(Quads::new(&Window::new(3, 3), 3, 3, Element::I8), None);
    }

    #[test]
    fn fours_have_a_place_for_every_code_and_a_code_for_every_weight() {
        for (filter_len, out_ch) in [(1, 4), (27, 16), (9, 5), (64, 10)] {
            let order = Fours::new(filter_len);
            let all = (0..out_ch).flat_map(|channel| (0..filter_len).map(move |index| (channel, index)));
            let places: BTreeSet<usize> = all.map(|(channel, index)| order.place(channel, index)).collect();
            assert_eq!(places.len(), filter_len * out_ch);
            assert!(places.last().is_some_and(|last| *last < order.len(out_ch)));
        }
        for weight in i8::MIN..=i8::MAX {
            assert_eq!(i16::from(Fours::code(weight).cast_unsigned()), i16::from(weight) + 128);
            assert_eq!(Fours::code(Fours::code(weight)), weight);
        }
    }

    #[test]
    fn two_bits_and_single_weights_have_no_pairs() {
        assert_eq!(Pairs::new(Runs { count: 3, len: 9 }, WeightBits::Two), None);
        assert_eq!(Pairs::new(Runs { count: 9, len: 1 }, WeightBits::Eight), None);
        assert!(Pairs::new(Runs::whole(1), WeightBits::Eight).is_some());
    }

    #[test]
    fn a_joined_weight_comes_back_from_its_half_word() {
        let order = Pairs::of_tiles(Packing::Joined, Runs::whole(4), WeightBits::Eight).unwrap();
        for (first, second) in (-127..=127).flat_map(|first| (-127..=127).map(move |second| (first, second))) {
            let code = second - Pairs::borrowed(first);
            let codes = |place| if place == order.place(0, 2) { first } else { code };
            assert_eq!((order.weight(0, 2, codes), order.weight(1, 2, codes)), (first, second));
            let half = i16::from_le_bytes([first as i8 as u8, code as i8 as u8]);
            assert_eq!(i32::from(half), 256 * second + first);
        }
    }
}
