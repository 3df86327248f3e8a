use crate::arithmetic::saturate;
use crate::format::{SOFTMAX_ENTRIES, Softmax};
use crate::kernels::ViewMut;

/// Softmax over the channels of each pixel: `floor(128 * t / sum(t) + 1/2)`, at most 127. Spec 4.12.
///
/// exponentials  `[256]`      u16, at most `2^15`; for distance 0 it is `2^15`
/// output        `[H, W, C]`  i8 at exponent -7; holds the input and is overwritten
pub fn softmax(op: &Softmax<'_>, output: ViewMut<'_>) {
    let (entries, _) = op.exponentials.as_chunks::<2>();
    let Some(table) = entries.first_chunk::<SOFTMAX_ENTRIES>() else { return };
    let channels = usize::from(output.shape.c).max(1);
    for pixel in output.codes.chunks_exact_mut(channels) {
        let greatest = pixel.iter().copied().max().unwrap_or(0);
        let exponential = |code: i8| u32::from(u16::from_le_bytes(table[usize::from(greatest.abs_diff(code))]));
        let sum = pixel.iter().fold(0_u32, |sum, code| sum.saturating_add(exponential(*code)));
        for code in pixel {
            // 2^15 * 256 and a sum of at most 2^15 * 65,535 stay below 2^32.
            let quotient = (256 * exponential(*code) + sum).checked_div(2 * sum).unwrap_or(0);
            *code = saturate(quotient.cast_signed(), 0, i8::MAX);
        }
    }
}
