use super::exponentials::Exponentials;
use crate::arithmetic::{normalized_high_multiply, rounding_high_multiply};
use crate::format::{AffineSoftmax, Links};
use crate::kernels::InOut;

/// Bits of a sum of exponentials before the point.
const SUM_BITS: u8 = 12;

/// 48/17 and -32/17 in units of `2^-29`: the line from which the reciprocal begins.
const LINE: (i32, i32) = (1_515_870_810, -1_010_580_540);

/// Softmax over the channels of each pixel in the affine scheme. Spec 4.26.
///
/// codes  `[H, W, C]`  of 8 bits; the output is in units of `2^-8` from its least code on
pub fn affine_softmax<const LINKS: Links>(op: &AffineSoftmax<'_>, codes: InOut<'_>) {
    let Some(exponentials) = Exponentials::new::<LINKS>(op) else { return };
    // Codes above the least of their element, so that one loop has both.
    let (operand_flip, flip) = (codes.operand_element().min() as u8, codes.element().min() as u8);
    let channels = usize::from(codes.shape().c).max(1);
    for pixel in codes.into_bytes().chunks_exact_mut(channels) {
        pixel.iter_mut().for_each(|code| *code ^= operand_flip);
        let greatest = pixel.iter().copied().max().unwrap_or(0);
        let exponential = |code: u8| exponentials.at(greatest.wrapping_sub(code));
        let part = |code: &u8| rounded(exponential(*code), SUM_BITS);
        let (scale, right_shift) = reciprocal(pixel.iter().map(part).fold(0, u32::wrapping_add));
        for code in pixel {
            // No factor is negative, so that a half is added whatever the sign.
            let product = u64::from(scale) * u64::from(exponential(*code));
            let product = (product.wrapping_add(1 << 30) >> 31) as u32;
            *code = rounded(product, right_shift).min(u8::MAX.into()) as u8 ^ flip;
        }
    }
}

/// `x / 2^right_shift`, half up.
///
/// right_shift  1 to 32
fn rounded(x: u32, right_shift: u8) -> u32 {
    let doubled = x >> (right_shift.wrapping_sub(1) & 31);
    doubled.wrapping_add(1) >> 1
}

/// `1 / sum` in units of `2^-31`, and the shift that brings its products to units of `2^-8`. Spec 4.26.
///
/// sum  in units of `2^-19`, at least 1, below 512
fn reciprocal(sum: u32) -> (u32, u8) {
    let sum = sum.max(1);
    let zeros = sum.leading_zeros() as u8;
    // 1/2 to 1 in units of 2^-31. The line is within 1/17 of the reciprocal, so that twice an error fits.
    let half = ((sum << (zeros & 31)) >> 1).cast_signed();
    let mut x = LINE.0 + normalized_high_multiply(LINE.1, half);
    for _ in 0..3 {
        let error = (1 << 29) - normalized_high_multiply(x, half);
        x += rounding_high_multiply(2 * error, x) * 4;
    }
    (x.cast_unsigned().wrapping_mul(2).min(i32::MAX.cast_unsigned()), (SUM_BITS + 23).saturating_sub(zeros))
}

#[cfg(test)]
mod tests {
    use super::{LINE, SUM_BITS, reciprocal};

    /// gemmlowp's `one_over_one_plus_x_for_x_in_0_1`, as `TensorFlow` Lite's softmax has it.
    fn expected(sum: u32) -> (u32, u8) {
        let doubling = |a: i32, b: i32| ((i64::from(a) * i64::from(b) + (1 << 30)) >> 31) as i32;
        let zeros = sum.leading_zeros();
        let half = ((sum << zeros) >> 1) as i32;
        let mut x = LINE.0 + doubling(LINE.1, half);
        for _ in 0..3 {
            let error = (1 << 29) - doubling(half, x);
            x += doubling(x, error).saturating_mul(4);
        }
        (x.saturating_mul(2) as u32, SUM_BITS + 23 - zeros as u8)
    }

    #[test]
    fn reciprocals_are_those_of_plain_products() {
        let around = (0..28).flat_map(|bits| {
            (0..64).flat_map(move |step| [(1 << bits) + step, (2_u32 << bits).saturating_sub(1 + step)])
        });
        for sum in around.filter(|sum| *sum > 0).chain((1..1 << 28).step_by(12_347)) {
            assert_eq!(reciprocal(sum), expected(sum), "{sum}");
        }
    }
}
