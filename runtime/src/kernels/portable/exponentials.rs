//! `exp` of distances between logits in the affine scheme, in units of `2^-31`. Spec 4.26.

use crate::arithmetic::{doubling_high_multiply, normalized_high_multiply, rounding_divide, rounding_high_multiply};
use crate::format::{AffineSoftmax, Detail, Links, SOFTMAX_ENTRIES};

/// Fraction bits of a difference of logits.
const DIFFERENCE_BITS: u32 = 26;

/// 1/4 as such a difference.
const QUARTER: i32 = 1 << (DIFFERENCE_BITS - 2);

/// `exp(-1/8)`, in units of `2^-31`.
const EIGHTH: i32 = 1_895_147_668;

/// A third, in units of `2^-31`.
const THIRD: i32 = 715_827_883;

/// `exp` of -1/4, -1/2, -1 and so on to -16, in units of `2^-31`.
const POWERS: [i32; 7] = [1_672_461_947, 1_302_514_674, 790_015_084, 290_630_308, 39_332_535, 720_401, 242];

/// What an operator has of the exponentials.
#[derive(Debug, Clone, Copy)]
pub(super) enum Exponentials<'a> {
    /// That of each distance.
    Table(&'a [[u8; 4]; SOFTMAX_ENTRIES]),
    /// The scale of the logits, of which each is computed: `multiplier * 2^(left_shift - 31)` in units of `2^-26`.
    Scale {
        /// At least `2^30`.
        multiplier: i32,
        /// 1 to 31.
        left_shift: u8,
    },
}

impl<'a> Exponentials<'a> {
    /// `None` for what the loader refuses.
    #[inline]
    pub(super) fn new<const LINKS: Links>(op: &AffineSoftmax<'a>) -> Option<Self> {
        if Detail::Exponentials.is_in(LINKS)
            && let Some((multiplier, left_shift)) = op.scale()
        {
            return Some(Self::Scale { multiplier, left_shift });
        }
        let (entries, _) = op.exponentials.as_chunks::<4>();
        entries.first_chunk().map(Self::Table)
    }

    /// That of a distance from the greatest code.
    #[inline]
    pub(super) fn at(self, distance: u8) -> u32 {
        match self {
            Self::Table(entries) => u32::from_le_bytes(entries[usize::from(distance)]),
            Self::Scale { multiplier, left_shift } => affine_exponential(multiplier, left_shift, distance),
        }
    }
}

/// `exp` of a distance below the greatest logit, in units of `2^-31`. Spec 4.26.
///
/// multiplier, left_shift  the scale of the logits, `multiplier * 2^(left_shift - 31)` in units of `2^-26`: at least `2^30`; 1 to 31.
///                         Of others the result means nothing
#[inline]
#[must_use]
pub fn affine_exponential(multiplier: i32, left_shift: u8, distance: u8) -> u32 {
    let (left_shift, distance) = (left_shift & 31, i32::from(distance));
    // Differences below -31 give 0.
    if distance > (31 << DIFFERENCE_BITS) >> left_shift {
        return 0;
    }
    power_of_e(distance.wrapping_neg() << left_shift, multiplier).cast_unsigned()
}

/// `exp` of a difference that is not positive, `scaled * multiplier * 2^-31` in units of `2^-26`: gemmlowp's
/// `exp_on_negative_values`.
#[inline(never)]
fn power_of_e(scaled: i32, multiplier: i32) -> i32 {
    let difference = normalized_high_multiply(scaled, multiplier);
    if difference == 0 {
        return i32::MAX;
    }
    let rest = (difference & (QUARTER - 1)) - QUARTER;
    let quarters = rest.wrapping_sub(difference) >> (DIFFERENCE_BITS - 2);
    let times = |product: i32, bit: usize| {
        let multiplied = doubling_high_multiply(product, POWERS[bit]);
        if quarters >> bit & 1 != 0 { multiplied } else { product }
    };
    // One by one, so that each is a constant in the code.
    let product = times(times(near_zero(rest << 5), 0), 1);
    times(times(times(times(times(product, 2), 3), 4), 5), 6)
}

/// `exp(x)` for `x` from -1/4 to 0 by its series around -1/8, both in units of `2^-31`.
fn near_zero(x: i32) -> i32 {
    // At most 2^28 to either side, so that it can be doubled, as its powers can.
    let x = x + (1 << 28);
    let square = rounding_high_multiply(2 * x, x);
    let (cube, fourth) = (rounding_high_multiply(2 * x, square), rounding_high_multiply(2 * square, square));
    let tail = doubling_high_multiply(rounding_divide(fourth, 2) + cube, THIRD) + square;
    EIGHTH + rounding_high_multiply(2 * (x + rounding_divide(tail, 1)), EIGHTH)
}
