//! A tile: the columns of some pixels times pairs of output channels.

use crate::format::{Activation, Epilogue, WeightBits};

/// The constants of a tile's inner loop.
#[derive(Debug, Clone, Copy)]
pub(super) struct Filters<'a> {
    pub(super) bits: WeightBits,
    /// Pairs of channels in the order of [`Blocks`](crate::format::Blocks).
    pub(super) weights: &'a [u8],
    /// Weights of a channel, padding included.
    pub(super) channel_len: usize,
    /// Bytes from the inputs of one pixel to those of the next.
    pub(super) column_step: usize,
    /// One i32 a channel.
    pub(super) bias: &'a [u8],
    pub(super) end: End<'a>,
    /// Channels to write: also the bytes from one pixel of the output to the next.
    pub(super) channels: usize,
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

impl Filters<'_> {
    /// The loops over columns of `channel_len` inputs stay inside these operands.
    pub(super) fn are_consistent(&self) -> bool {
        let pairs = self.channels.div_ceil(2);
        let weights = self.channel_len as u64 * (pairs * self.bits.bits() as usize / 4) as u64;
        let entries = if self.end.each { self.channels } else { 4 };
        let has_end = match self.end.epilogue {
            Epilogue::Shift(shifts) => entries <= shifts.len(),
            Epilogue::Multiply(end) => entries <= end.shifts.len() && 4 * entries <= end.multipliers.len(),
        };
        self.channels > 0
            && self.channel_len > 0
            && weights <= self.weights.len() as u64
            && 4 * self.channels <= self.bias.len()
            && has_end
    }
}
