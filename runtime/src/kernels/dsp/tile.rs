//! A tile: the columns of some pixels, which are multiplied by pairs of output channels.

use super::scale::Scale;
use crate::format::{Links, WeightBits, has_slow_ends};

/// What the accumulators of a tile end in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::kernels) enum End {
    /// Scaled and saturated to 8 bits with a sign.
    Signed8,
    /// Scaled and saturated to 0 to 127: a ReLU.
    Unsigned7,
    /// Scaled and saturated to 0 to 255.
    Unsigned8,
    /// Left as they are, 32 bits each: of every pair the first channel's pixels, then the second one's.
    Accumulators,
}

/// Pairs of channels in the order of [`Pairs`](crate::format::Pairs), for any number of tiles.
#[derive(Debug, Clone, Copy)]
pub(super) struct Filters<'a> {
    pub(super) bits: WeightBits,
    /// As [`Pairs::joined`](crate::format::Pairs::joined).
    pub(super) joined: bool,
    /// The second channel of every pair is padding: what its accumulators end in is nobody's.
    pub(super) single: bool,
    pub(super) weights: &'a [u8],
    /// Two i32 a pair.
    pub(super) bias: &'a [u8],
    /// Two entries a pair, or one for all.
    pub(super) scale: Scale<'a>,
    pub(super) end: End,
}

/// What an inner loop reads and writes.
#[derive(Debug)]
pub(super) struct Tile<'a> {
    /// `[step][pixel]` pairs of inputs, 16 bits each.
    pub(super) columns: &'a [u32],
    /// Where the first pair's codes of the first pixel go, or accumulators.
    pub(super) output: &'a mut [u8],
}

impl Filters<'_> {
    /// Pairs of channels.
    pub(super) const fn pairs(&self) -> usize {
        self.bias.len() / 8
    }

    /// There are weights for columns of so many words, and all else that the loops read of a layer.
    pub(super) fn are_consistent(&self, words: usize) -> bool {
        let pairs = self.pairs();
        let step_bytes = pairs * (self.bits.bits() / 2) as usize;
        pairs > 0
            && words > 0
            && words.is_multiple_of(2)
            && self.bits != WeightBits::Two
            && self.weights.len() / words >= step_bytes
            && self.scale.has(2 * pairs)
    }

    /// Bytes of a tile's output.
    pub(super) fn written<const LINKS: Links>(&self, pixels: usize, pitch: usize) -> usize {
        if has_slow_ends(LINKS) && self.end == End::Accumulators {
            8 * pixels * self.pairs()
        } else {
            pitch * (pixels - 1) + 2 * self.pairs()
        }
    }
}
