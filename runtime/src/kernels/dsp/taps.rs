//! The taps of a depthwise window over one pixel, four channels at a time.

use super::scale::Scale;
use super::tile::End;

/// Operands of the depthwise loop.
#[derive(Debug)]
pub(super) struct Taps<'a> {
    /// Codes have a sign.
    pub(super) signed: bool,
    /// From the first tap's first channel on.
    pub(super) input: &'a [u8],
    /// From the first tap of the first quad on, in the order of [`Quads`](crate::format::Quads).
    pub(super) weights: &'a [u8],
    /// An i32 a channel.
    pub(super) bias: &'a [u8],
    /// An entry a channel, or one for all.
    pub(super) scale: Scale<'a>,
    /// A code a channel, or accumulators, of fours.
    pub(super) output: &'a mut [u8],
    /// Rows and columns of the kernel that meet the input.
    pub(super) rows: usize,
    pub(super) columns: usize,
    /// Bytes of the input from one to the next.
    pub(super) row_step: usize,
    pub(super) column_step: usize,
    /// The whole kernel.
    pub(super) kernel_h: usize,
    pub(super) kernel_w: usize,
    pub(super) end: End,
}

impl Taps<'_> {
    /// Channels: fours, or some more, of which the last four are computed together.
    pub(super) const fn channels(&self) -> usize {
        self.bias.len() / 4
    }

    /// The loop stays inside its operands.
    pub(super) const fn is_consistent(&self) -> bool {
        let (channels, sums) = (self.channels(), matches!(self.end, End::Accumulators));
        if channels < 4
            || sums && !channels.is_multiple_of(4)
            || self.rows == 0
            || self.columns == 0
            || self.rows > self.kernel_h
            || self.columns > self.kernel_w
        {
            return false;
        }
        let last_tap = (self.rows - 1) * self.row_step + (self.columns - 1) * self.column_step;
        let last_quad = channels.div_ceil(4) - 1;
        let last_weight = last_quad * self.kernel_h * self.kernel_w + (self.rows - 1) * self.kernel_w + self.columns;
        let written = if sums { 4 * channels } else { channels };
        last_tap + channels <= self.input.len()
            && last_weight <= self.weights.len() / 8
            && self.scale.has(channels)
            && written <= self.output.len()
    }
}
