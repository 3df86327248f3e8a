//! The arithmetic that every backend obeys. `spec/arithmetic.md`, sections 2 and 3.

/// Greatest shift of an accumulator to either side. Spec 3.1.
pub const MAX_SHIFT: i8 = 30;

/// Accumulator to code: one shift and one saturate. Spec 3.1.
///
/// A positive `right_shift` shifts right, arithmetically; the rounding constant is in the
/// accumulator already, by way of the bias. A negative one shifts left, saturating.
#[inline]
#[must_use]
pub fn requantize(acc: i32, right_shift: i8, activation_min: i8, activation_max: i8) -> i8 {
    let shifted = if right_shift >= 0 {
        acc >> (right_shift & 31)
    } else {
        saturating_shift_left(acc, right_shift.unsigned_abs())
    };
    saturate(shifted, activation_min, activation_max)
}

/// The rounding constant of a shift: half a unit of the result. Spec 3.2.
#[inline]
#[must_use]
pub const fn rounding(right_shift: i8) -> i32 {
    if right_shift >= 1 { 1 << ((right_shift - 1) & 31) } else { 0 }
}

/// `acc` clipped into `[min, max]`. Spec 3.3.
#[inline]
#[must_use]
pub fn saturate(acc: i32, min: i8, max: i8) -> i8 {
    let bounded = acc.min(i32::from(max)).max(i32::from(min));
    #[expect(clippy::cast_possible_truncation, reason = "bounded by two i8")]
    let code = bounded as i8;
    code
}

/// `acc * 2^left_shift`, saturating at the bounds of an `i32`.
#[inline]
fn saturating_shift_left(acc: i32, left_shift: u8) -> i32 {
    acc.saturating_mul(1 << (left_shift & 31).min(30))
}

/// Greatest absolute value that an `i8` code can take, as an input of an accumulator. Spec 2.2.
pub const MAX_ABS_CODE: i64 = 128;

#[cfg(test)]
mod tests {
    use super::*;

    /// `floor(acc / 2^s + 1/2)` in exact rationals, for the rounding constant folded in.
    fn half_up(acc: i64, s: i8) -> i64 {
        if s >= 1 { (2 * acc + (1 << s)).div_euclid(1 << (s + 1)) } else { acc << -s }
    }

    #[test]
    fn requantize_rounds_half_up_for_every_small_accumulator() {
        for s in -8..=12 {
            for acc in -5000..=5000_i32 {
                let expected = half_up(i64::from(acc), s).clamp(-128, 127);
                let got = requantize(acc + rounding(s), s, i8::MIN, i8::MAX);
                assert_eq!(i64::from(got), expected, "acc {acc}, right_shift {s}");
            }
        }
    }

    #[test]
    fn ties_go_up_on_both_sides_of_zero() {
        let round = |acc| requantize(acc + rounding(1), 1, i8::MIN, i8::MAX);
        assert_eq!((round(3), round(1), round(-1), round(-3)), (2, 1, 0, -1));
    }

    #[test]
    fn left_shift_saturates_at_the_extremes() {
        for s in 1..=MAX_SHIFT {
            assert_eq!(requantize(i32::MAX, -s, -128, 127), 127);
            assert_eq!(requantize(i32::MIN, -s, -128, 127), -128);
            assert_eq!(requantize(0, -s, -128, 127), 0);
        }
    }

    #[test]
    fn bounds_are_the_activation() {
        assert_eq!(requantize(-40, 0, 0, 127), 0);
        assert_eq!(requantize(90, 0, 0, 48), 48);
    }
}
