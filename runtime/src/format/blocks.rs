//! The orders of [`Packing::Blocks`](super::Packing::Blocks): vectors of 16 bytes.

use super::{Element, WeightBits, Window};

/// Bytes of a vector.
pub const VECTOR: usize = 16;

/// What the kernels of this order subtract from an input's code, so that it has a sign: 0, or 128 for `u8`. The bias of a
/// channel holds as many times the sum of its weights.
#[must_use]
pub const fn code_offset(input: Element) -> i16 {
    match input {
        Element::U8 => 128,
        _ => 0,
    }
}

/// Inputs and outputs of one byte.
const fn are_bytes((input, output): (Element, Element)) -> bool {
    !matches!(input, Element::I16) && !matches!(output, Element::I16)
}

/// The order of a convolution of one group, and of a fully connected layer.
///
/// A channel's weights are padded with zeros to whole vectors, channels to pairs. A pair of channels `a`, `b` is a vector of `a`, a
/// vector of `b`, the next one of `a`, and so on. Of 4 bits a vector holds 32 weights: the first 16 in the low halves of
/// its bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Blocks {
    /// Weights of a channel.
    pub len: usize,
    /// Width of a code.
    pub bits: WeightBits,
}

impl Blocks {
    /// The order for layers that have one: those of 4 and 8 bits whose input and output have one byte, unless padding would
    /// more than double the weights.
    #[must_use]
    pub const fn new(len: usize, bits: WeightBits, elements: (Element, Element)) -> Option<Self> {
        let order = Self { len, bits };
        let has_width = matches!(bits, WeightBits::Four | WeightBits::Eight) && are_bytes(elements);
        // Whole vectors are at most twice the weights and 16 more: so is the first one, and it is padded most.
        if has_width && order.vector_len() / 2 <= len.saturating_add(VECTOR / 2) { Some(order) } else { None }
    }

    /// Weights of a vector.
    #[must_use]
    pub const fn vector_len(&self) -> usize {
        VECTOR * 8 / self.bits.bits() as usize
    }

    /// Weights of a channel, padding included; as many inputs are read.
    #[must_use]
    pub const fn channel_len(&self) -> usize {
        let last = self.vector_len() - 1;
        self.len.saturating_add(last) & !last
    }

    /// Vectors of a channel.
    #[must_use]
    pub const fn vectors(&self) -> usize {
        self.len.div_ceil(self.vector_len())
    }

    /// Codes of a layer, padding included.
    #[must_use]
    pub const fn total(&self, out_ch: usize) -> usize {
        self.channel_len().saturating_mul(out_ch.next_multiple_of(2))
    }

    /// Index in the blob of weight `index` of a channel, padding counted.
    #[must_use]
    pub const fn place(&self, channel: usize, index: usize) -> usize {
        let (vector, entry) = (index / self.vector_len(), index % self.vector_len());
        let within = match self.bits {
            WeightBits::Four => entry % VECTOR * 2 + entry / VECTOR,
            _ => entry,
        };
        ((channel / 2 * self.vectors() + vector) * 2 + channel % 2) * self.vector_len() + within
    }

    /// True where a convolution reads its inputs where they lie: those of a pixel fill whole vectors.
    #[must_use]
    pub const fn is_direct(&self, window: &Window, input: Element) -> bool {
        let unpadded = window.pad_top == 0 && window.pad_bottom == 0 && window.pad_left == 0 && window.pad_right == 0;
        window.taps() == 1 && unpadded && self.is_whole(input)
    }

    /// True where inputs without gaps fill whole vectors, and need no offset.
    #[must_use]
    pub const fn is_whole(&self, input: Element) -> bool {
        code_offset(input) == 0 && self.len == self.channel_len()
    }

    /// Bytes of scratch for the columns of a number of pixels.
    #[must_use]
    pub const fn scratch_bytes(&self, pixels: usize) -> usize {
        self.channel_len().saturating_mul(pixels)
    }
}

/// The order of a depthwise convolution whose channels have one output each.
///
/// Taps are padded with one of zeros to an even number, channels with zeros to whole vectors. The weights of 16 channels
/// follow one another, a vector for each tap.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Lanes {
    /// Taps of the window.
    pub taps: usize,
    /// Channels.
    pub channels: usize,
}

impl Lanes {
    /// The order for layers that have one: those of 8 bits whose input and output have one byte.
    #[must_use]
    pub const fn new(taps: usize, channels: usize, bits: WeightBits, elements: (Element, Element)) -> Option<Self> {
        let fits = matches!(bits, WeightBits::Eight) && are_bytes(elements);
        if fits { Some(Self { taps, channels }) } else { None }
    }

    /// Taps, padding included.
    #[must_use]
    pub const fn padded_taps(&self) -> usize {
        self.taps.next_multiple_of(2)
    }

    /// Channels, padding included.
    #[must_use]
    pub const fn padded_channels(&self) -> usize {
        self.channels.next_multiple_of(VECTOR)
    }

    /// Codes of a layer, padding included.
    #[must_use]
    pub const fn total(&self) -> usize {
        self.padded_taps().saturating_mul(self.padded_channels())
    }

    /// Index in the blob of a weight, padding counted.
    #[must_use]
    pub const fn place(&self, tap: usize, channel: usize) -> usize {
        (channel / VECTOR * self.padded_taps() + tap) * VECTOR + channel % VECTOR
    }

    /// Bytes of scratch: for each channel two words and a code of padding; a word for each tap; what brings them to whole words.
    #[must_use]
    pub const fn scratch_bytes(&self) -> usize {
        self.padded_channels().saturating_mul(9).saturating_add(self.padded_taps().saturating_mul(4)).saturating_add(3)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_weight_has_a_place_of_its_own() {
        for bits in [WeightBits::Four, WeightBits::Eight] {
            for (len, out_ch) in [(16, 2_usize), (27, 5), (144, 4), (64, 3)] {
                let order = Blocks::new(len, bits, (Element::I8, Element::I8)).unwrap();
                let channels = out_ch.next_multiple_of(2);
                let all = (0..channels).flat_map(|channel| (0..order.channel_len()).map(move |index| (channel, index)));
                let places: BTreeSet<usize> = all.map(|(channel, index)| order.place(channel, index)).collect();
                assert_eq!(places.len(), order.total(out_ch));
                assert_eq!(places.last(), Some(&(order.total(out_ch) - 1)));
            }
        }
    }

    #[test]
    fn every_tap_of_a_lane_has_a_place_of_its_own() {
        for (taps, channels) in [(9, 64), (1, 3), (10, 17)] {
            let order = Lanes::new(taps, channels, WeightBits::Eight, (Element::U8, Element::I8)).unwrap();
            let all = (0..order.padded_channels()).flat_map(|c| (0..order.padded_taps()).map(move |tap| (tap, c)));
            let places: BTreeSet<usize> = all.map(|(tap, channel)| order.place(tap, channel)).collect();
            assert_eq!(places.len(), order.total());
            assert_eq!(places.last(), Some(&(order.total() - 1)));
        }
    }

    #[test]
    fn other_widths_and_elements_have_no_vectors() {
        let bytes = (Element::I8, Element::U8);
        assert_eq!(Blocks::new(64, WeightBits::Two, bytes), None);
        assert_eq!(Blocks::new(64, WeightBits::Sixteen, bytes), None);
        assert_eq!(Blocks::new(64, WeightBits::Eight, (Element::I16, Element::I8)), None);
        assert_eq!(Blocks::new(64, WeightBits::Eight, (Element::I8, Element::I16)), None);
        assert_eq!(Lanes::new(9, 64, WeightBits::Four, bytes), None);
    }
}
