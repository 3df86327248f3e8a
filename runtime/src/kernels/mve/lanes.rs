//! Lanes: 16 channels of a depthwise convolution side by side.

use crate::format::{Activation, VECTOR};

/// Operands of an inner loop: one pixel, all channels.
#[derive(Debug)]
pub(super) struct LanesTile<'a> {
    /// 8 bits each, in the order of [`Lanes`](crate::format::Lanes).
    pub(super) weights: &'a [u8],
    /// Where the inputs of each tap begin.
    pub(super) taps: &'a Taps<'a>,
    /// Index of the input from which the taps count.
    pub(super) base: usize,
    /// One i32 for each channel, padding included.
    pub(super) bias: &'a [u32],
    /// Channels to write.
    pub(super) channels: usize,
    pub(super) end: LanesEnd<'a>,
}

/// What its accumulators end in.
#[derive(Debug)]
pub(super) enum LanesEnd<'a> {
    /// Shifted left by so much, saturating, right where it is negative; clipped, written as codes.
    Codes { left_shifts: &'a [u32], activation: Activation, output: &'a mut [u8] },
    /// Written as they are.
    Accumulators(&'a mut [u32]),
}

/// The inputs under a window, tap by tap.
#[derive(Debug)]
pub(super) struct Taps<'a> {
    /// True for codes without a sign: 128 is subtracted.
    pub(super) unsigned: bool,
    /// The tensor, one byte a code.
    pub(super) input: &'a [u8],
    /// What padding reads as, for each channel.
    pub(super) zeros: &'a [u8],
    /// For each tap an index, as the loops take it: set by [`Taps::set`] alone.
    places: &'a mut [u32],
    /// One behind the greatest index of a tap inside.
    end: usize,
    /// A tap that is padding has a place that no base may move.
    is_fixed: bool,
}

impl<'a> Taps<'a> {
    /// All taps are padding.
    pub(super) fn new(unsigned: bool, input: &'a [u8], zeros: &'a [u8], places: &'a mut [u32]) -> Self {
        let mut taps = Self { unsigned, input, zeros, places, end: 0, is_fixed: true };
        for tap in 0..taps.places.len() {
            taps.set(tap, None);
        }
        taps
    }

    /// Before all taps are set anew.
    pub(super) const fn clear(&mut self) {
        self.end = 0;
        self.is_fixed = false;
    }

    /// Where the first channel of a tap lies in the input; `None` for padding.
    #[inline]
    pub(super) fn set(&mut self, tap: usize, index: Option<usize>) {
        let Some(place) = self.places.get_mut(tap) else { return };
        match index.and_then(|index| u32::try_from(index).ok()) {
            Some(index) => {
                *place = index;
                self.end = self.end.max(index as usize + 1);
            }
            None => {
                *place = super::instructions::padding(self.input, self.zeros);
                self.is_fixed = true;
            }
        }
    }

    pub(super) fn places(&self) -> &[u32] {
        self.places
    }

    fn are_inside(&self, base: usize, channels: usize) -> bool {
        (base == 0 || !self.is_fixed)
            && self.end.saturating_sub(1).saturating_add(base).saturating_add(channels) <= self.input.len()
            && channels <= self.zeros.len()
    }
}

impl LanesTile<'_> {
    /// Every loop stays inside its operands.
    pub(super) fn is_consistent(&self) -> bool {
        let padded = self.channels.next_multiple_of(VECTOR);
        let written = match &self.end {
            LanesEnd::Codes { left_shifts, output, .. } => padded <= left_shifts.len() && self.channels <= output.len(),
            LanesEnd::Accumulators(accumulators) => padded <= accumulators.len(),
        };
        let taps = self.taps.places.len();
        self.channels > 0
            && taps > 0
            && taps.is_multiple_of(2)
            && padded.saturating_mul(taps) <= self.weights.len()
            && padded <= self.bias.len()
            && self.taps.are_inside(self.base, self.channels)
            && written
    }
}
