//! The entries of a depthwise window that lie inside the input, with their weights.

use super::tile::{CHANNELS, SMALL, Target};
use crate::format::{Element, Fours};

/// Operands of the loop over a depthwise window.
#[derive(Debug)]
pub(super) struct Taps<'a> {
    pub(super) element: Element,
    /// From the first entry's first channel on.
    pub(super) input: &'a [u8],
    /// Codes from one entry to the next, and from one row to the next.
    pub(super) input_steps: [usize; 2],
    /// From the first entry's first channel on.
    pub(super) weights: &'a [u8],
    /// Codes from one entry to the next, and from one row to the next.
    pub(super) weight_steps: [usize; 2],
    /// Columns and rows.
    pub(super) counts: [usize; 2],
    /// First value of each channel's accumulator.
    pub(super) biases: &'a [i32],
    pub(super) target: Target<'a>,
}

impl Taps<'_> {
    /// Fours of channels.
    pub(super) const fn fours(&self) -> usize {
        self.biases.len() / CHANNELS
    }

    /// The loop stays inside its operands, and ends.
    pub(super) fn is_consistent(&self) -> bool {
        let channels = CHANNELS * self.fours();
        let [columns, rows] = self.counts;
        // All products stay below 2^32.
        let small = |[column, row]: [usize; 2]| column < Fours::ROW_LIMIT && row < Fours::ROW_LIMIT;
        let inside = |[column, row]: [usize; 2], codes: &[u8]| {
            small([column, row]) && column * (columns - 1) + row * (rows - 1) + channels <= codes.len()
        };
        channels > 0
            && channels < SMALL
            && (1..=255).contains(&columns)
            && (1..=255).contains(&rows)
            && self.element != Element::I16
            && self.input_steps[0] > 0
            && self.weight_steps[1] > 0
            && inside(self.input_steps, self.input)
            && inside(self.weight_steps, self.weights)
            && self.target.has_room(channels, 1, 0)
    }
}
