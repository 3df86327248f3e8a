//! The integer reciprocal of an average. Spec 4.5.

/// `multiplier * 2^-right_shift` stands for `2^(e_in - e_out) / area`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reciprocal {
    /// At least 1.
    pub multiplier: i32,
    /// 0 to 30.
    pub right_shift: i8,
}

/// Fraction bits: `128 * area * multiplier` stays near `2^30` and leaves room for the rounding constant.
pub(super) const FRACTION_BITS: i32 = 23;

/// `floor(2^23 / count + 1/2)`, for counts up to `2^23`.
#[must_use]
pub(super) fn whole_multiplier(count: usize) -> i32 {
    ((2 * (1_usize << FRACTION_BITS) + count) / (2 * count.max(1))) as i32
}

/// Least common terms of `floor(2^23 / area + 1/2) / 2^n` with `n = 23 - (input - output)`; exact,
/// a pure shift, where `area` is a power of two. `None` where `n` is outside 0 to 30 or the
/// multiplier would be zero.
#[must_use]
pub fn reciprocal(area: usize, input_exponent: i8, output_exponent: i8) -> Option<Reciprocal> {
    let mut right_shift = FRACTION_BITS - (i32::from(input_exponent) - i32::from(output_exponent));
    let mut multiplier = rounded_quotient(1 << FRACTION_BITS, i64::try_from(area).ok()?)?;
    if !(0..=30).contains(&right_shift) || multiplier < 1 {
        return None;
    }
    while multiplier % 2 == 0 && right_shift > 0 {
        multiplier /= 2;
        right_shift -= 1;
    }
    Some(Reciprocal { multiplier: i32::try_from(multiplier).ok()?, right_shift: i8::try_from(right_shift).ok()? })
}

/// `floor(numerator / denominator + 1/2)` for a positive denominator.
fn rounded_quotient(numerator: i64, denominator: i64) -> Option<i64> {
    (2 * numerator + denominator).checked_div(2 * denominator).filter(|_| denominator > 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn powers_of_two_are_pure_shifts() {
        for log_area in 0..=12 {
            let expected = Reciprocal { multiplier: 1, right_shift: log_area };
            assert_eq!(reciprocal(1 << log_area, -4, -4), Some(expected));
        }
    }

    #[test]
    fn every_mean_of_small_areas_is_within_one_unit_of_exact() {
        for area in 1..=64_i64 {
            let r = reciprocal(area as usize, 0, 0).unwrap();
            for sum in -128 * area..=127 * area {
                let half = if r.right_shift > 0 { 1_i64 << (r.right_shift - 1) } else { 0 };
                let got = (sum * i64::from(r.multiplier) + half) >> r.right_shift;
                let exact = (2 * sum + area).div_euclid(2 * area);
                assert!((got - exact).abs() <= 1, "{sum} / {area}: {got}, exactly {exact}");
                let tie = (2 * sum + area) % (2 * area) == 0;
                assert!(got == exact || tie, "{sum} / {area}: only a tie may differ, {got} against {exact}");
            }
        }
    }

    #[test]
    fn out_of_range_exponents_have_no_reciprocal() {
        assert_eq!(reciprocal(4, 0, 8), None);
        assert_eq!(reciprocal(4, 24, 0), None);
        assert_eq!(reciprocal(0, 0, 0), None);
        assert_eq!(reciprocal(1 << 25, 0, 0), None);
    }
}
