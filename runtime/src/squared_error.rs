use crate::codes::Codes;

/// Distance of exponents from which any two codes that differ by a step of the coarser are further apart than `u64` can count
/// the square of.
const MAX_SHIFT: u32 = 33;

/// Squared error between what an autoencoder read and what it wrote, in squared steps of the finer exponent. Spec 7.1.
///
/// input   `[N]` codes, real = code * 2^`input_exponent`
/// output  `[N]` codes, real = code * 2^`output_exponent`; the shorter of both counts
///
/// With `e` the lesser of both exponents, the error is the result times `2^(2 * e)`. The result is exact; one that `u64` does not
/// hold is `u64::MAX`. For tensors whose steps are powers of two: of the affine scheme the result means nothing.
///
/// Layers may write over a session's input: keep the codes that were read.
///
/// ```
/// use stepshift_runtime::{Codes, Model, Session, squared_error};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let model = Model::parse(include_bytes!("../testdata/small.stepshift"))?;
/// let (input, output) = (model.input().exponent, model.output().exponent);
/// let mut arena = [0; 256];
/// let mut session = Session::new(model, &mut arena)?;
///
/// let codes = [3_i8; 4]; // of the sensor, which stay when the arena does not
/// session.input_mut().copy_from(codes);
/// session.run();
/// let error = squared_error(Codes::from_i8(&codes), input, session.output(), output);
///
/// const THRESHOLD: u64 = 10_000; // `stepshift eval` tells one
/// let is_anomaly = error > THRESHOLD;
/// # let _ = is_anomaly;
/// # Ok(())
/// # }
/// ```
#[must_use]
pub fn squared_error(input: Codes<'_>, input_exponent: i8, output: Codes<'_>, output_exponent: i8) -> u64 {
    let shift =
        |exponent: i8, other: i8| u32::try_from(i32::from(exponent) - i32::from(other)).unwrap_or(0).min(MAX_SHIFT);
    let (left, right) = (shift(input_exponent, output_exponent), shift(output_exponent, input_exponent));
    let pairs = input.iter().zip(output.iter());
    pairs.fold(0, |sum: u64, (x, y)| {
        let difference = ((i64::from(x) << left) - (i64::from(y) << right)).unsigned_abs();
        let square = u32::try_from(difference).map_or(u64::MAX, |d| u64::from(d) * u64::from(d));
        sum.saturating_add(square)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::format::Element;

    #[test]
    fn codes_of_two_exponents_are_compared_in_steps_of_the_finer() {
        let (x, y) = (Codes::from_i8(&[16, 0, -3]), Codes::from_i8(&[60, 1, -12]));
        assert_eq!(squared_error(x, -4, y, -6), 4 * 4 + 1);
        assert_eq!(squared_error(y, -6, x, -4), 4 * 4 + 1);
        assert_eq!(squared_error(x, -4, x, -4), 0);
        assert_eq!(squared_error(Codes::from_i8(&[]), -4, y, -6), 0);
    }

    #[test]
    fn an_error_that_no_u64_holds_is_the_greatest() {
        let (one, zero) = (Codes::from_i8(&[1]), Codes::from_i8(&[0]));
        assert_eq!(squared_error(one, 31, zero, 0), 1 << 62);
        assert_eq!(squared_error(one, 32, zero, 0), u64::MAX);
        assert_eq!(squared_error(one, 32, one, 0), u64::from(u32::MAX).pow(2));
        assert_eq!(squared_error(one, 127, one, -128), u64::MAX);
        assert_eq!(squared_error(zero, 127, one, -128), 1);
        let wide = [0xff, 0x7f];
        assert_eq!(squared_error(Codes::new(Element::I16, &wide), 127, zero, -128), u64::MAX);
    }
}
