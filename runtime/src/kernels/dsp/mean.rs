use super::instructions::{PIXELS_OF_A_SUM, sum_pixels};
use crate::arithmetic;
use crate::format::{Case, Element, Links, Mean};
use crate::kernels::{View, ViewMut};

/// Mean over rows and columns of a tensor of 8 bits whose channels are a multiple of 4; false for others, which it leaves alone.
/// Spec 4.5.
///
/// input    `[H, W, C]`  codes
/// output   `[1, 1, C]`  codes
#[must_use]
pub fn mean<const LINKS: Links>(op: &Mean, input: &View<'_>, output: &mut ViewMut<'_>) -> bool {
    let channels = usize::from(input.shape.c);
    if Case::Operator.is_in(LINKS) && !has_mean(op, input.shape.c, [input.element(), output.element]) {
        return false;
    }
    let signed = !Element::U8.is_in(LINKS) || input.element() == Element::I8;
    let pixels = usize::from(input.shape.h) * usize::from(input.shape.w);
    for (quad, means) in output.bytes.as_chunks_mut::<4>().0.iter_mut().enumerate() {
        let mut sums = [0; 4];
        let mut first = 0;
        while first < pixels {
            let count = (pixels - first).min(PIXELS_OF_A_SUM);
            let codes = input.bytes.get(first * channels + 4 * quad..).unwrap_or_default();
            let [even, odd] = sum_pixels::<LINKS>(signed, codes, channels, count);
            for (sum, half) in sums.iter_mut().zip([even, odd, even >> 16, odd >> 16]) {
                let half = half as u16;
                *sum += if signed { i32::from(half.cast_signed()) } else { half.into() };
            }
            first += count;
        }
        for (mean, sum) in means.iter_mut().zip(sums) {
            [*mean, ..] = arithmetic::mean(sum, op.multiplier, op.right_shift, op.activation).to_le_bytes();
        }
    }
    true
}

/// Whether the instructions have the mean of a tensor, in another.
pub fn has_mean(op: &Mean, channels: u16, elements: [Element; 2]) -> bool {
    op.axes == Mean::GLOBAL && !elements.contains(&Element::I16) && channels.is_multiple_of(4)
}
