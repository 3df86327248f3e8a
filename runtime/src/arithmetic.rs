//! The arithmetic that every backend obeys. `spec/arithmetic.md`, sections 2 and 3.

use crate::format::{AFFINE_LINK, Activation, Detail, Links};

/// Greatest shift of an accumulator to either side. Spec 3.1.
pub const MAX_SHIFT: i8 = 30;

/// From an accumulator to a code, before the saturate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Requantizer {
    /// A power of two: positive values shift right, negative ones left. Spec 3.1.
    Shift(i8),
    /// `multiplier * 2^(shift - 31)`, and the code of zero. Spec 3.4.
    Multiply {
        /// Q31, not negative.
        multiplier: i32,
        /// Positive values shift left before, negative ones right after the multiplication.
        shift: i8,
        /// Code of the output that means 0.
        zero: i16,
    },
}

impl Requantizer {
    /// Accumulator to code. `LINKS` says which of both ends the program has.
    #[inline]
    #[must_use]
    pub fn apply<const LINKS: Links>(self, acc: i32, activation: Activation) -> i32 {
        match self {
            Self::Multiply { multiplier, shift, zero } if LINKS & AFFINE_LINK != 0 => {
                let product = if Detail::LeftShift.is_in(LINKS) {
                    multiply(acc, multiplier, shift)
                } else {
                    multiply_to_the_right(acc, multiplier, shift)
                };
                saturate(product.saturating_add(zero.into()), activation)
            }
            Self::Shift(right_shift) if Detail::Shift.is_in(LINKS) => requantize(acc, right_shift, activation),
            // `Model::parse_linked` has refused the others.
            _ => saturate(acc, activation),
        }
    }
}

/// Accumulator to code: one shift and one saturate. Spec 3.1.
///
/// A positive `right_shift` shifts right, arithmetically; the rounding constant is in the
/// accumulator already, by way of the bias. A negative one shifts left, saturating.
#[inline]
#[must_use]
pub fn requantize(acc: i32, right_shift: i8, activation: Activation) -> i32 {
    let shifted = if right_shift >= 0 {
        acc >> (right_shift & 31)
    } else {
        saturating_shift_left(acc, right_shift.unsigned_abs())
    };
    saturate(shifted, activation)
}

/// The rounding constant of a shift: half a unit of the result. Spec 3.2.
#[inline]
#[must_use]
pub const fn rounding(right_shift: i8) -> i32 {
    if right_shift >= 1 { 1 << ((right_shift - 1) & 31) } else { 0 }
}

/// `acc` clipped into the bounds of an activation. Spec 3.3.
#[inline]
#[must_use]
pub fn saturate(acc: i32, activation: Activation) -> i32 {
    acc.min(activation.max.into()).max(activation.min.into())
}

/// A sum times a reciprocal: `(sum * multiplier + half) >> right_shift`, in 64 bits. Spec 4.5.
#[inline]
#[must_use]
pub fn mean(sum: i32, multiplier: i32, right_shift: i8, activation: Activation) -> i32 {
    let product = i64::from(sum) * i64::from(multiplier) + i64::from(rounding(right_shift));
    let bounds = (i64::from(activation.min), i64::from(activation.max));
    #[expect(clippy::cast_possible_truncation, reason = "bounded by two i16")]
    let code = (product >> (right_shift & 31)).min(bounds.1).max(bounds.0) as i32;
    code
}

/// `acc * 2^left_shift`, saturating at the bounds of an `i32`.
#[inline]
fn saturating_shift_left(acc: i32, left_shift: u8) -> i32 {
    acc.saturating_mul(1 << (left_shift & 31).min(30))
}

/// `acc * multiplier * 2^(shift - 31)` with two roundings, as the affine scheme's reference kernels have it: to the
/// nearest after the multiplication, half away from zero after the shift. Spec 3.4.
#[inline]
#[must_use]
pub fn multiply(acc: i32, multiplier: i32, shift: i8) -> i32 {
    let left = shift.max(0).cast_unsigned().min(30);
    let right = shift.min(0).unsigned_abs().min(31);
    rounding_divide(doubling_high_multiply(acc.wrapping_shl(left.into()), multiplier), right)
}

/// As [`multiply`] with a shift below 0.
#[inline]
fn multiply_to_the_right(acc: i32, multiplier: i32, shift: i8) -> i32 {
    halve_half_away(doubling_high_multiply(acc, multiplier), (!shift).cast_unsigned())
}

/// `acc * multiplier / 2^31`, rounded to the nearest, half up: gemmlowp's `SaturatingRoundingDoublingHighMul`, whose nudge and
/// truncating division come to the same: `trunc((p + 1 - 2^30) / 2^31) = floor((p + 2^30) / 2^31)` for every `p < 0`.
///
/// Twice a multiplier from `2^30` on wraps to `2^32` less, which one more `acc` makes up for.
///
/// multiplier  Q31, not negative
pub(crate) fn doubling_high_multiply(acc: i32, multiplier: i32) -> i32 {
    debug_assert!(multiplier >= 0, "{multiplier}");
    let doubled = multiplier.wrapping_mul(2);
    rounding_high_multiply(doubled, acc).wrapping_add(acc & doubled >> 31)
}

/// As [`doubling_high_multiply`] by a normalized multiplier, of `2^30` and more.
#[inline]
pub(crate) fn normalized_high_multiply(acc: i32, multiplier: i32) -> i32 {
    rounding_high_multiply(multiplier.wrapping_mul(2), acc).wrapping_add(acc)
}

/// `a * b / 2^32`, rounded to the nearest, half up: one `SMMULR` where the core has it.
#[inline]
pub(crate) fn rounding_high_multiply(a: i32, b: i32) -> i32 {
    ((i64::from(a) * i64::from(b) + (1 << 31)) >> 32) as i32
}

/// `x / 2^exponent`, rounded to the nearest, half away from zero: gemmlowp's `RoundingDivideByPOT`.
///
/// Half up of `x`, or of `x - 1` below zero: the bit below the point is the rounding.
#[inline]
pub(crate) fn rounding_divide(x: i32, exponent: u8) -> i32 {
    exponent.checked_sub(1).map_or(x, |below| halve_half_away(x, below))
}

/// `x / 2^(below + 1)`, rounded as [`rounding_divide`] does.
#[inline]
fn halve_half_away(x: i32, below: u8) -> i32 {
    let x = x.wrapping_add(x >> 31) >> (below & 31);
    (x >> 1) + (x & 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    const I8: Activation = Activation { min: -128, max: 127 };

    #[test]
    fn high_multiplies_round_half_up() {
        let ends = [i32::MIN, -(1 << 30), -1, 0, 1 << 30, i32::MAX];
        let numbers = ends.map(|end: i32| {
            [0, 1, 2, 0x0123_4567, 0x0765_4321].map(|step| [end.wrapping_add(step), end.wrapping_sub(step)])
        });
        let numbers = numbers.as_flattened().as_flattened();
        for (&acc, &b) in numbers.iter().flat_map(|acc| numbers.iter().map(move |b| (acc, b))) {
            let exact =
                |right_shift: u32| ((i64::from(acc) * i64::from(b) + (1 << (right_shift - 1))) >> right_shift) as i32;
            assert_eq!(rounding_high_multiply(acc, b), exact(32), "{acc} * {b}");
            if b >= 0 {
                assert_eq!(doubling_high_multiply(acc, b), exact(31), "{acc} * {b}");
            }
            if b >= 1 << 30 {
                assert_eq!(normalized_high_multiply(acc, b), exact(31), "{acc} * {b}");
            }
        }
    }

    /// `floor(acc / 2^s + 1/2)` in exact rationals, for the rounding constant folded in.
    fn half_up(acc: i64, s: i8) -> i64 {
        if s >= 1 { (2 * acc + (1 << s)).div_euclid(1 << (s + 1)) } else { acc << -s }
    }

    #[test]
    fn requantize_rounds_half_up_for_every_small_accumulator() {
        for s in -8..=12 {
            for acc in -5000..=5000_i32 {
                let expected = half_up(i64::from(acc), s).clamp(-128, 127);
                let got = requantize(acc + rounding(s), s, I8);
                assert_eq!(i64::from(got), expected, "acc {acc}, right_shift {s}");
            }
        }
    }

    #[test]
    fn ties_go_up_on_both_sides_of_zero() {
        let round = |acc| requantize(acc + rounding(1), 1, I8);
        assert_eq!((round(3), round(1), round(-1), round(-3)), (2, 1, 0, -1));
    }

    #[test]
    fn left_shift_saturates_at_the_extremes() {
        for s in 1..=MAX_SHIFT {
            assert_eq!(requantize(i32::MAX, -s, I8), 127);
            assert_eq!(requantize(i32::MIN, -s, I8), -128);
            assert_eq!(requantize(0, -s, I8), 0);
        }
    }

    #[test]
    fn bounds_are_the_activation() {
        assert_eq!(requantize(-40, 0, Activation { min: 0, max: 127 }), 0);
        assert_eq!(requantize(90, 0, Activation { min: 0, max: 48 }), 48);
    }

    /// Half away from zero, in exact rationals.
    fn half_away(numerator: i128, log2: u32) -> i128 {
        let magnitude = (2 * numerator.abs() + (1 << log2)) >> (log2 + 1);
        if numerator < 0 { -magnitude } else { magnitude }
    }

    #[test]
    fn a_multiplication_rounds_twice_to_the_nearest() {
        for multiplier in [1 << 30, 1_518_500_250, i32::MAX, 1_234_567_891] {
            for shift in -12..=3_i8 {
                for acc in (-3000..=3000).chain([-90_000_000, 90_000_000, 123_456_789]) {
                    let left = 1_i128 << shift.max(0);
                    // The first rounding of gemmlowp truncates after its nudge: a tie below zero goes up.
                    let product = i128::from(acc) * left * i128::from(multiplier);
                    let tie = product < 0 && product.rem_euclid(1 << 31) == 1 << 30;
                    let high = half_away(product, 31) + i128::from(tie);
                    let expected = half_away(high, u32::from(shift.min(0).unsigned_abs()));
                    assert_eq!(i128::from(multiply(acc, multiplier, shift)), expected, "{acc} {multiplier} {shift}");
                }
            }
        }
    }
}
