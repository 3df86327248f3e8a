//! What brings accumulators to codes, before the saturate.

use crate::arithmetic::{Requantizer, multiply};
use crate::format::{AFFINE_LINK, Epilogue, Links, Multiply};

/// Least multiplier for which the loops have an end: it takes twice the multiplier for a number with a sign, less `2^32`.
pub(super) const LEAST_MULTIPLIER: i32 = 1 << 30;

/// A right shift, or a multiplier, a right shift and a zero point: of each channel, or one for all.
#[derive(Debug, Clone, Copy)]
pub(super) struct Scale<'a> {
    /// i8: a right shift is positive without multipliers, negative with them.
    pub(super) shifts: &'a [u8],
    /// i32, as many; none where shifts are all there is.
    pub(super) multipliers: &'a [u8],
    /// 1, or 0 for one entry.
    pub(super) step: usize,
    /// What is added to a product.
    pub(super) zero: i32,
}

/// Whether the loops have an end for a channel: a right shift, by at least one behind a multiplication.
pub(super) const fn has_end(channel: Requantizer) -> bool {
    match channel {
        Requantizer::Shift(right_shift) => right_shift >= 0,
        Requantizer::Multiply { multiplier, shift, .. } => shift < 0 && multiplier >= LEAST_MULTIPLIER,
    }
}

impl<'a> Scale<'a> {
    /// Accumulators as they are.
    pub(super) const NONE: Self = Self { shifts: &[0], multipliers: &[], step: 0, zero: 0 };

    /// From a channel on.
    #[inline]
    pub(super) fn new<const LINKS: Links>(epilogue: &Epilogue<'a>, channel: usize) -> Self {
        let step = usize::from(epilogue.len() > 1);
        let from = |entries: &'a [u8], bytes: usize| entries.get(channel * step * bytes..).unwrap_or_default();
        match epilogue {
            Epilogue::Shift(shifts) => Self { shifts: from(shifts, 1), multipliers: &[], step, zero: 0 },
            Epilogue::Multiply(_) if LINKS & AFFINE_LINK == 0 => Self::NONE,
            Epilogue::Multiply(Multiply { multipliers, shifts, output_zero, .. }) => {
                Self { shifts: from(shifts, 1), multipliers: from(multipliers, 4), step, zero: i32::from(*output_zero) }
            }
        }
    }

    /// Whether the loops have an end for every channel.
    pub(super) const fn is_right<const LINKS: Links>(epilogue: &Epilogue<'_>) -> bool {
        match epilogue {
            Epilogue::Shift(shifts) => {
                let (mut fours, rest) = shifts.as_chunks();
                // The sign of none is set.
                let mut signs = 0;
                while let [four, others @ ..] = fours {
                    signs |= u32::from_le_bytes(*four) & 0x8080_8080;
                    fours = others;
                }
                signs == 0 && all_positive(rest)
            }
            Epilogue::Multiply(_) if LINKS & AFFINE_LINK == 0 => false,
            Epilogue::Multiply(Multiply { multipliers, shifts, .. }) => {
                let ((mut multipliers, _), mut shifts) = (multipliers.as_chunks::<4>(), *shifts);
                while let ([bytes, other_multipliers @ ..], [shift, other_shifts @ ..]) = (multipliers, shifts) {
                    let (multiplier, shift) = (i32::from_le_bytes(*bytes), shift.cast_signed());
                    if !has_end(Requantizer::Multiply { multiplier, shift, zero: 0 }) {
                        return false;
                    }
                    (multipliers, shifts) = (other_multipliers, other_shifts);
                }
                true
            }
        }
    }

    /// A multiplication, not a shift alone.
    pub(super) const fn multiplies(&self) -> bool {
        !self.multipliers.is_empty()
    }

    /// There are entries for so many channels.
    pub(super) const fn has(&self, channels: usize) -> bool {
        let entries = if self.step == 0 { 1 } else { channels };
        let multipliers = !self.multiplies() || 4 * entries <= self.multipliers.len();
        self.step <= 1 && entries <= self.shifts.len() && multipliers
    }

    /// What the instructions make of a channel's accumulator, `scaled_by` bits more than it has.
    pub(super) fn apply(&self, channel: usize, acc: i32, scaled_by: u32) -> i32 {
        let entry = channel * self.step;
        let shift = self.shifts.get(entry).copied().unwrap_or(0);
        match self.multipliers.as_chunks::<4>().0.get(entry) {
            Some(bytes) => {
                let product = multiply(acc >> scaled_by, i32::from_le_bytes(*bytes), shift.cast_signed());
                product.wrapping_add(self.zero)
            }
            None => acc >> (u32::from(shift) + scaled_by).min(31),
        }
    }
}

const fn all_positive(mut shifts: &[u8]) -> bool {
    while let [shift, others @ ..] = shifts {
        if !has_end(Requantizer::Shift(shift.cast_signed())) {
            return false;
        }
        shifts = others;
    }
    true
}
