//! A layer's constants as the inner loops take them.

use super::instructions::Multiplier;
use super::tile::{End, Filters};
use crate::format::{Activation, Blocks, Epilogue, Links, Multiply, Weights};

/// The one entry of a layer whose channels end alike, four times.
#[derive(Debug, Default)]
pub(super) struct Entry {
    multipliers: [[u8; 4]; 4],
    shifts: [u8; 4],
}

impl Entry {
    #[inline]
    pub(super) fn of(weights: &Weights<'_>) -> Self {
        let (multipliers, shifts) = match weights.epilogue {
            Epilogue::Shift(shifts) => (&[][..], shifts),
            Epilogue::Multiply(end) => (end.multipliers, end.shifts),
        };
        let (a, shift) = (multipliers.first_chunk().copied().unwrap_or_default(), shifts.first().copied());
        // One by one: an array of equal entries is filled in a loop.
        Self { multipliers: [a, a, a, a], shifts: [shift.unwrap_or_default(); 4] }
    }

    /// The inner loop of a layer in [`Blocks`]; `None` where its constants contradict each other.
    ///
    /// column_step  bytes from the inputs of one pixel to those of the next
    #[inline]
    pub(super) fn multiplier<'a, const LINKS: Links>(
        &'a self,
        weights: &Weights<'a>,
        order: Blocks,
        activation: Activation,
        (out_ch, column_step): (u16, usize),
    ) -> Option<Multiplier<'a>> {
        let each = weights.epilogue.len() > 1;
        let epilogue = match weights.epilogue {
            end if each => end,
            Epilogue::Shift(_) => Epilogue::Shift(&self.shifts),
            Epilogue::Multiply(end) => {
                let multipliers = self.multipliers.as_flattened();
                Epilogue::Multiply(Multiply { multipliers, shifts: &self.shifts, ..end })
            }
        };
        Multiplier::new::<LINKS>(&Filters {
            bits: order.bits,
            weights: weights.codes,
            channel_len: order.channel_len(),
            column_step,
            bias: weights.bias,
            end: End { epilogue, each, activation },
            channels: out_ch.into(),
        })
    }
}
