//! The multipliers and shifts of a layer's channels, in the form that vectors apply.

use crate::arithmetic::{MAX_SHIFT, Requantizer};
use crate::format::Activation;

/// What brings the accumulators of a layer to codes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Scale {
    /// Right shifts. Spec 3.1.
    Shift,
    /// Multipliers and right shifts, where no code is below zero's. Spec 3.4.
    Rectify,
    /// Multipliers and right shifts. Spec 3.4.
    Multiply,
    /// What no vector has: left shifts, and channels of the affine scheme without a [`Factor`].
    EachByItself,
}

/// A multiplication with its two roundings, as one of 64 bits and a shift: a code is
/// `(high(2 * acc * multiplier + start) + (acc < 0 ? away : 0)) >> right_shift`, where `high(p) = floor(p / 2^32)`.
///
/// The first rounding is `floor((acc * multiplier + 2^30) / 2^31)`. The second, half away from zero, is half up of one less
/// below zero; the accumulator tells as well as the product, as where only the accumulator is negative the product is 0 and
/// stays so. As `floor((floor(p / m) + c) / n) = floor((p + m * c) / (m * n))`, the half of the second rounding and the code
/// of zero are added before the first, in `start`.
///
/// Where the activation has no code below zero's, what is below zero ends in its least code by either rounding and needs not
/// be told apart. Then `high` leaves a bit of the first rounding to the shift, and no accumulator is doubled: a code is
/// `high(acc * multiplier + start) >> right_shift`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Factor {
    pub(super) multiplier: i32,
    pub(super) right_shift: i32,
    pub(super) start: i64,
    /// -1; 0 where nothing is rounded the second time, and where rectified.
    pub(super) away: i32,
}

impl Factor {
    /// Of a channel whose accumulators are at most `reach` from 0; of a power of two the shift alone. `None` where the scale has
    /// it not, or 32 bits have not all of it.
    pub(super) fn new(scale: Scale, requantizer: Requantizer, reach: i64, activation: Activation) -> Option<Self> {
        let (multiplier, shift, zero) = match (scale, requantizer) {
            (Scale::Shift, Requantizer::Shift(right_shift @ 0..=MAX_SHIFT)) => {
                return Some(Self { right_shift: right_shift.into(), ..Self::default() });
            }
            (Scale::Rectify | Scale::Multiply, Requantizer::Multiply { multiplier, shift, zero }) => {
                (multiplier, shift, i64::from(zero))
            }
            _ => return None,
        };
        let right_shift = i32::from(shift).wrapping_neg().clamp(0, 31);
        let half = (1_i64 << right_shift) >> 1;
        if reach == 0 || reach < half {
            // Channels whose weights are all 0 have any shift.
            return Some(Self { start: zero << 32, ..Self::default() });
        }
        let offset = i64::from(i32::try_from(half + (zero << right_shift)).ok()?);
        if scale == Scale::Rectify {
            let fits = shift < 0 && i64::from(activation.min) >= zero;
            let start = (1 << 30) + (offset << 31);
            return fits.then_some(Self { multiplier, right_shift: right_shift - 1, start, away: 0 });
        }
        let fits = shift <= 0 && reach < 1 << 30 && reach + offset.abs() < 1 << 31;
        let (start, away) = ((1 << 31) + (offset << 32), -i32::from(shift < 0));
        fits.then_some(Self { multiplier, right_shift, start, away })
    }
}
