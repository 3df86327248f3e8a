//! A tile: the columns of some pixels times pairs of output channels.

use crate::format::{Activation, Epilogue, WeightBits};

/// Operands of an inner loop.
#[derive(Debug)]
pub(super) struct Tile<'a, const PIXELS: usize> {
    pub(super) bits: WeightBits,
    /// Pairs of channels in the order of [`Blocks`](crate::format::Blocks).
    pub(super) weights: &'a [u8],
    /// Inputs of each pixel, one byte each, as many as a channel has weights.
    pub(super) columns: [&'a [u8]; PIXELS],
    /// Weights of a channel, padding included.
    pub(super) channel_len: usize,
    /// One i32 a channel, two a pair.
    pub(super) bias: &'a [u8],
    pub(super) end: End<'a>,
    /// Channels to write.
    pub(super) channels: usize,
    /// Where the first channel's code of the first pixel goes.
    pub(super) output: &'a mut [u8],
    /// Bytes from one pixel to the next.
    pub(super) pitch: usize,
}

/// What the accumulators of a tile end in.
#[derive(Debug, Clone, Copy)]
pub(super) struct End<'a> {
    /// That of the first channel first.
    pub(super) epilogue: Epilogue<'a>,
    /// False where four equal entries serve all channels.
    pub(super) each: bool,
    pub(super) activation: Activation,
}

impl<const PIXELS: usize> Tile<'_, PIXELS> {
    /// Pairs of channels.
    pub(super) const fn pairs(&self) -> usize {
        self.channels.div_ceil(2)
    }

    /// Every loop stays inside its operands.
    pub(super) fn is_consistent(&self) -> bool {
        let weights = self.bits.bytes(self.channel_len.saturating_mul(2 * self.pairs()));
        let entries = if self.end.each { self.channels } else { 4 };
        let has_end = match self.end.epilogue {
            Epilogue::Shift(shifts) => entries <= shifts.len(),
            Epilogue::Multiply(end) => entries <= end.shifts.len() && 4 * entries <= end.multipliers.len(),
        };
        let written = self.pitch.saturating_mul(PIXELS.saturating_sub(1)).saturating_add(self.channels);
        self.channels > 0
            && self.channel_len > 0
            && self.columns.iter().all(|column| self.channel_len <= column.len())
            && weights.is_some_and(|bytes| bytes <= self.weights.len())
            && 8 * self.pairs() <= self.bias.len()
            && has_end
            && written <= self.output.len()
    }
}
