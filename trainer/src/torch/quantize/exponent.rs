//! Steps from ranges, on the tensor's device. Spec 1.4.

use tch::{Kind, Tensor};

use crate::torch::shim::covering_steps;

/// Greatest right shift that the choice of a weight's step allows. Spec 6.2.
pub const MAX_WEIGHT_SHIFT: i32 = 20;

/// Least exponent of a step: below it f32 loses bits, and a step would become 0.
const MIN_EXPONENT: f64 = -126.0;

/// The least step `2^e` with `range <= hi * 2^e`, elementwise; a range of zero has that of the range `hi / (hi + 1)`. Spec 1.4.
///
/// range  any shape, f32 or f64, not negative
pub fn cover(range: &Tensor, hi: i32) -> Tensor {
    let (significand, bits) = significand(hi);
    covering_steps(range, significand, bits).expect("ranges are in floating point")
}

/// The step of nics_fix's rule: `2^(k - bits)` for the least `k` with `range <= 2^k`, where `hi` has `bits` bits. A peak of exactly
/// `2^k` saturates by one code.
///
/// range  any shape, f32 or f64, not negative
pub fn cover_by_logarithm(range: &Tensor, hi: i32) -> Tensor {
    let (mantissa, exponent) = range.frexp();
    let (_, bits) = significand(hi);
    let exponent = exponent.to_kind(range.kind()) - f64::from(bits) - mantissa.eq(0.5).to_kind(range.kind());
    power_of_two(&exponent.clamp_min(MIN_EXPONENT))
}

/// `hi` as a fraction of the power of two above it, and that power.
fn significand(hi: i32) -> (f64, u32) {
    let bits = hi.ilog2() + 1;
    (f64::from(hi) / 2_f64.powi(bits.cast_signed()), bits)
}

/// `2^exponent`, exactly, of the exponents' floating type.
pub fn power_of_two(exponent: &Tensor) -> Tensor {
    exponent.ones_like().ldexp(exponent)
}

/// A step from its exponent, `[1]`.
pub fn step(exponent: i8) -> Tensor {
    Tensor::from_slice(&[2_f32.powi(exponent.into())])
}

/// The exponents of steps.
///
/// steps  `[N]`, powers of two
#[must_use]
pub fn exponents(steps: &Tensor) -> Vec<i32> {
    let (_, exponent) = steps.detach().flatten(0, -1).frexp();
    let exponents = Vec::<i64>::try_from(exponent.to_kind(Kind::Int64)).expect("frexp gives integers");
    exponents.into_iter().map(|exponent| exponent as i32 - 1).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Spec 1.4 word by word, in exact arithmetic: f64 holds `hi * 2^e` and every f32 exactly.
    fn least(range: f32, hi: i32) -> i32 {
        (-160..140).find(|e| f64::from(range) <= f64::from(hi) * 2_f64.powi(*e)).unwrap()
    }

    #[test]
    fn cover_is_the_least_exponent() {
        for hi in [1, 7, 15, 127, 255, 2047, 32767] {
            let mut ranges = Vec::new();
            for e in -40..20 {
                for base in [1.0, hi as f32 / (hi + 1) as f32, 1.5] {
                    let x = base * 2_f32.powi(e);
                    ranges.extend([x.next_down(), x, x.next_up()]);
                }
            }
            let got = exponents(&cover(&Tensor::from_slice(&ranges), hi));
            for (range, got) in ranges.iter().zip(got) {
                assert_eq!(got, least(*range, hi), "range {range:e}, greatest code {hi}");
            }
        }
    }

    #[test]
    fn steps_are_powers_of_two_exactly() {
        let expected: Vec<f32> = (-120..=120).map(|e| 2_f32.powi(e)).collect();
        let ranges: Vec<f32> = expected.iter().map(|step| 127.0 * step).collect();
        assert_eq!(Vec::<f32>::try_from(cover(&Tensor::from_slice(&ranges), 127)).unwrap(), expected);
    }

    /// Defect 3 of nics_fix: `ceil(log(x) / log(2))` in f32 gives -12 for `2^-13`, and doubles the range.
    #[test]
    fn the_classic_rule_is_exact_at_powers_of_two() {
        for k in -100..100 {
            let x = 2_f32.powi(k);
            let ranges = Tensor::from_slice(&[x.next_down(), x, x.next_up()]);
            assert_eq!(exponents(&cover_by_logarithm(&ranges, 127)), [k - 7, k - 7, k - 6], "2^{k}");
        }
    }

    #[test]
    fn a_range_of_zero_has_an_exponent() {
        assert_eq!(exponents(&cover(&Tensor::from_slice(&[0_f32]), 127)), [-7]);
    }

    #[test]
    fn the_least_floats_have_a_step_that_is_not_zero() {
        let ranges = Tensor::from_slice(&[f32::from_bits(1), f32::MIN_POSITIVE]);
        assert_eq!(exponents(&cover(&ranges, 127)), [-126, -126]);
    }
}
