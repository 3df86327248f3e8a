//! The order of a layer's weights in its blob.

use serde::{Deserialize, Serialize};

use super::{Element, WeightBits, Window};

/// The order of a layer's weights, and by it the kernels that run the layer. Format 4.1.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[repr(u8)]
pub enum Packing {
    /// The operator's own order, which the portable kernels read.
    #[default]
    Plain,
    /// Two output channels and four weights of each side by side, for `SMLAD`: see [`Pairs`].
    Pairs,
}

impl Packing {
    /// Every packing, in the order of its number.
    pub const ALL: [Self; 2] = [Self::Plain, Self::Pairs];
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
    /// Bytes in the arena.
    #[must_use]
    pub const fn region(&self) -> core::ops::Range<usize> {
        self.offset as usize..self.offset as usize + self.bytes as usize
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

/// The order [`Packing::Pairs`].
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
}

impl Pairs {
    /// The order for layers that have one: none of 2 bits, none whose padding would double the weights.
    #[must_use]
    pub const fn new(runs: Runs, bits: WeightBits) -> Option<Self> {
        let order = Self { runs, bits };
        let sparse = order.channel_len() > 2 * runs.count * runs.len + 4;
        if matches!(bits, WeightBits::Two) || sparse { None } else { Some(order) }
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

    /// Left shift that unpacking leaves on every product.
    #[must_use]
    pub const fn scaled_by(&self) -> u32 {
        match self.bits {
            WeightBits::Four => 4,
            _ => 0,
        }
    }
}

/// The order that [`Packing::Pairs`] means for a depthwise convolution: channels in fours, 16 bits a code, and of each tap the
/// channels 0, 2, 1, 3, as `SXTB16` widens them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Quads {
    /// Entries of the kernel.
    pub taps: usize,
}

impl Quads {
    /// The order for layers that have one: one output channel an input channel, in whole fours.
    #[must_use]
    pub const fn new(window: &Window, in_ch: usize, out_ch: usize, input: Element) -> Option<Self> {
        let fits = in_ch == out_ch && in_ch.is_multiple_of(4) && !matches!(input, Element::I16);
        if fits { Some(Self { taps: window.taps() }) } else { None }
    }

    /// Index in the blob of a channel's weight.
    #[must_use]
    pub const fn place(&self, channel: usize, tap: usize) -> usize {
        let within = channel % 4;
        (channel / 4 * self.taps + tap) * 4 + within % 2 * 2 + within / 2
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
    fn two_bits_and_single_weights_have_no_pairs() {
        assert_eq!(Pairs::new(Runs { count: 3, len: 9 }, WeightBits::Two), None);
        assert_eq!(Pairs::new(Runs { count: 9, len: 1 }, WeightBits::Eight), None);
        assert!(Pairs::new(Runs::whole(1), WeightBits::Eight).is_some());
    }
}
