//! Steps: powers of two that cover a range, chosen on the tensor's device. Spec 1.4, 6.

use tch::{Kind, Tensor};

/// Greatest code of activations and weights.
pub const MAX_CODE: f64 = 127.0;

/// Greatest right shift that the choice of a weight's step allows. Spec 6.2.
pub const MAX_WEIGHT_SHIFT: i32 = 20;

/// The least step `2^e` with `range <= 127 * 2^e`, elementwise; `2^-7` for a range of zero. Spec 1.4.
///
/// range  any shape, f32 or f64, not negative
pub fn cover(range: &Tensor) -> Tensor {
    let (mantissa, exponent) = range.frexp();
    let exponent = exponent.to_kind(range.kind()) - 7 + mantissa.gt(MAX_CODE / 128.0).to_kind(range.kind());
    power_of_two(&exponent)
}

/// `2^exponent`, exactly, of the exponents' floating type.
pub fn power_of_two(exponent: &Tensor) -> Tensor {
    exponent.ones_like().ldexp(exponent)
}

/// A step from its exponent.
pub fn from_exponent(exponent: i8) -> Tensor {
    Tensor::from(2_f32.powi(exponent.into()))
}

/// The exponents of steps.
///
/// steps  `[N]`, powers of two
#[must_use]
pub fn exponents(steps: &Tensor) -> Vec<i32> {
    let (_, exponent) = steps.flatten(0, -1).frexp();
    let exponents = Vec::<i64>::try_from(exponent.to_kind(Kind::Int64)).expect("frexp gives integers");
    exponents.into_iter().map(|exponent| exponent as i32 - 1).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Spec 1.4 word by word, in exact arithmetic: f64 holds `127 * 2^e` and every f32 exactly.
    fn least(range: f32) -> i32 {
        (-160..140).find(|e| f64::from(range) <= 127.0 * 2_f64.powi(*e)).unwrap()
    }

    #[test]
    fn cover_is_the_least_exponent() {
        let mut ranges = Vec::new();
        for e in -40..20 {
            for base in [1.0, 127.0 / 128.0, 1.5] {
                let x = base * 2_f32.powi(e);
                ranges.extend([x.next_down(), x, x.next_up()]);
            }
        }
        let got = exponents(&cover(&Tensor::from_slice(&ranges)));
        for (range, got) in ranges.iter().zip(got) {
            assert_eq!(got, least(*range), "range {range:e}");
        }
    }

    #[test]
    fn steps_are_powers_of_two_exactly() {
        let expected: Vec<f32> = (-120..=120).map(|e| 2_f32.powi(e)).collect();
        let ranges: Vec<f32> = expected.iter().map(|step| 127.0 * step).collect();
        assert_eq!(Vec::<f32>::try_from(cover(&Tensor::from_slice(&ranges))).unwrap(), expected);
    }

    #[test]
    fn a_range_of_zero_has_an_exponent() {
        assert_eq!(exponents(&cover(&Tensor::from_slice(&[0_f32]))), [-7]);
    }
}
