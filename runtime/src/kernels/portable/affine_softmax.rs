use crate::arithmetic::{doubling_high_multiply, rounding_divide};
use crate::format::{AffineSoftmax, SOFTMAX_ENTRIES};
use crate::kernels::InOut;

/// Bits of a sum of exponentials before the point.
const SUM_BITS: u8 = 12;

/// 48/17 and -32/17 in units of `2^-29`: the line from which the reciprocal begins.
const LINE: (i32, i32) = (1_515_870_810, -1_010_580_540);

/// Softmax over the channels of each pixel in the affine scheme. Spec 4.26.
///
/// exponentials  `[256]`      i32, not negative; for distance 0 it is `2^31 - 1`
/// codes         `[H, W, C]`  of 8 bits; the output is in units of `2^-8` from its least code on
pub fn affine_softmax(op: &AffineSoftmax<'_>, mut codes: InOut<'_>) {
    let (entries, _) = op.exponentials.as_chunks::<4>();
    let Some(table) = entries.first_chunk::<SOFTMAX_ENTRIES>() else { return };
    let (shape, element) = (codes.shape(), codes.element());
    let (min, max) = (i32::from(element.min()), i32::from(element.max()));
    let channels = usize::from(shape.c).max(1);
    for start in (0..shape.len()).step_by(channels) {
        let pixel = start..start + channels;
        let greatest = pixel.clone().map(|index| codes.code(index)).max().unwrap_or(0);
        // Two codes of one byte are at most 255 apart.
        let exponential = |code: i32| i32::from_le_bytes(table[usize::from(greatest.abs_diff(code) as u8)]);
        let part = |index| rounding_divide(exponential(codes.code(index)), SUM_BITS);
        let (scale, right_shift) = reciprocal(pixel.clone().map(part).fold(0, i32::wrapping_add));
        for index in pixel {
            let product = doubling_high_multiply(scale, exponential(codes.code(index)));
            codes.put(index, rounding_divide(product, right_shift).wrapping_add(min).clamp(min, max));
        }
    }
}

/// `1 / sum` in units of `2^-31`, and the shift that brings its products to units of `2^-8`. Spec 4.26.
///
/// sum  in units of `2^-19`, at least 1, below 512
fn reciprocal(sum: i32) -> (i32, u8) {
    let sum = sum.cast_unsigned().max(1);
    let zeros = sum.leading_zeros() as u8;
    let half = ((sum << (zeros & 31)) >> 1).cast_signed();
    let mut x = LINE.0.wrapping_add(doubling_high_multiply(LINE.1, half));
    for _ in 0..3 {
        let error = (1 << 29) - doubling_high_multiply(half, x);
        x = x.wrapping_add(doubling_high_multiply(x, error).saturating_mul(4));
    }
    (x.saturating_mul(2), (SUM_BITS + 23).saturating_sub(zeros))
}
