use crate::format::{SOFTMAX_ENTRIES, Softmax};
use crate::kernels::InOut;

/// Softmax over the channels of each pixel: `floor(2^bits * t / sum(t) + 1/2)`, at most the greatest code. Spec 4.12.
///
/// exponentials  `[256]`      u16, at most `2^15`; for distance 0 it is `2^15`
/// codes         `[H, W, C]`  input of 8 bits; the output's exponent is `-bits`: -7, -8 or -15 by its element
pub fn softmax(op: &Softmax<'_>, mut codes: InOut<'_>) {
    let (entries, _) = op.exponentials.as_chunks::<2>();
    let Some(table) = entries.first_chunk::<SOFTMAX_ENTRIES>() else { return };
    let shape = codes.shape();
    let channels = usize::from(shape.c).max(1);
    let output = codes.element();
    let bits = Softmax::output_bits(output);
    for start in (0..shape.len()).step_by(channels) {
        let pixel = start..start + channels;
        let greatest = pixel.clone().map(|index| codes.code(index)).max().unwrap_or(0);
        let exponential = |code: i32| {
            // Two codes of one byte are at most 255 apart.
            let distance = greatest.abs_diff(code) as u8;
            u32::from(u16::from_le_bytes(table[usize::from(distance)]))
        };
        let sum = pixel.clone().fold(0_u32, |sum, index| sum.saturating_add(exponential(codes.code(index))));
        for index in pixel {
            // 2^15 * 2^16 and a sum of at most 2^15 * 65,535 stay below 2^32.
            let part = exponential(codes.code(index)) << (bits + 1);
            let quotient = (part + sum).checked_div(2 * sum).unwrap_or(0);
            codes.put(index, quotient.cast_signed().min(output.max().into()));
        }
    }
}
