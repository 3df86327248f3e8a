//! A tile: the columns of some pixels times pairs of output channels.

use super::scale::Scale;
use crate::format::WeightBits;

/// What the accumulators of a tile end in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    /// Scaled and saturated to 8 bits with a sign.
    Signed8,
    /// Scaled and saturated to 0 to 127: a ReLU.
    Unsigned7,
    /// Scaled and saturated to 0 to 255.
    Unsigned8,
    /// Left as they are, 32 bits each: of every pair the first channel's pixels, then the second one's.
    Accumulators,
}

/// Operands of an inner loop.
#[derive(Debug)]
pub(super) struct Tile<'a> {
    pub(super) bits: WeightBits,
    /// Pairs of channels in the order of [`Pairs`](crate::format::Pairs).
    pub(super) weights: &'a [u8],
    /// `[step][pixel]` pairs of inputs, 16 bits each.
    pub(super) columns: &'a [u32],
    /// Two i32 a pair.
    pub(super) bias: &'a [u8],
    /// Two entries a pair, or one for all.
    pub(super) scale: Scale<'a>,
    /// Where the first pair's codes of the first pixel go, or accumulators.
    pub(super) output: &'a mut [u8],
    /// Bytes from one pixel to the next.
    pub(super) pitch: usize,
    pub(super) end: End,
}

impl Tile<'_> {
    /// Pairs of channels.
    pub(super) const fn pairs(&self) -> usize {
        self.bias.len() / 8
    }

    /// Every loop stays inside its operands.
    pub(super) fn is_consistent(&self, pixels: usize) -> bool {
        let (pairs, quads) = (self.pairs(), self.columns.len() / (2 * pixels));
        let weight_bytes = self.bits.bytes(pairs.saturating_mul(8 * quads));
        let written = match self.end {
            End::Accumulators => pairs.saturating_mul(8 * pixels),
            _ => self.pitch.saturating_mul(pixels - 1).saturating_add(2 * pairs),
        };
        pairs > 0
            && quads > 0
            && self.columns.len() == quads * 2 * pixels
            && self.bits != WeightBits::Two
            && weight_bytes.is_some_and(|bytes| bytes <= self.weights.len())
            && self.scale.has(2 * pairs)
            && written <= self.output.len()
    }
}
