use super::instructions::{PIXELS_OF_A_SUM, sum_pixels};
use crate::arithmetic::{mean, saturate};
use crate::format::{AFFINE_LINK, AveragePool2d, Element};
use crate::kernels::portable::divide;
use crate::kernels::window::{Span, positions};
use crate::kernels::{View, ViewMut};

/// Mean over a window of a tensor of 8 bits whose channels are a multiple of 4; false for others, which it leaves alone.
/// Spec 4.5.
///
/// input    `[H, W, C]`          codes
/// output   `[H_OUT, W_OUT, C]`  codes
#[must_use]
pub fn average_pool2d<const LINKS: u64>(op: &AveragePool2d<'_>, input: &View<'_>, output: &mut ViewMut<'_>) -> bool {
    let channels = usize::from(input.shape.c).max(1);
    let bytes = input.element() != Element::I16 && output.element != Element::I16;
    let has_case = bytes && channels.is_multiple_of(4) && op.window.taps() <= PIXELS_OF_A_SUM;
    if !has_case {
        return false;
    }
    let signed = input.element() == Element::I8;
    let affine = LINKS & AFFINE_LINK != 0 && op.multipliers.is_empty();
    for ((oy, ox), codes) in positions(output).zip(output.bytes.chunks_exact_mut(channels)) {
        let rows = Span::rows(&op.window, input.shape, oy);
        let columns = Span::columns(&op.window, input.shape, ox);
        let count = rows.len * columns.len;
        // Whole rows lie one behind the other.
        let whole = columns.len == usize::from(input.shape.w);
        let (runs, pixels) = if whole { (1, count) } else { (rows.len, columns.len) };
        let first = input.place(rows.input, columns.input);
        for (quad, codes) in codes.as_chunks_mut::<4>().0.iter_mut().enumerate() {
            let mut sums = [0_u32; 2];
            for run in 0..runs {
                let start = first + run * input.row_len() + 4 * quad;
                let run = input.codes.bytes().get(start..).unwrap_or_default();
                sums = add(sums, sum_pixels(signed, run, channels, pixels));
            }
            *codes = if affine { divided(sums, signed, count, op) } else { multiplied(sums, signed, count, op) };
        }
    }
    true
}

/// The ends of four channels in the affine scheme.
#[inline(never)]
fn divided(sums: [u32; 2], signed: bool, count: usize, op: &AveragePool2d<'_>) -> [u8; 4] {
    of_channels(sums, signed).map(|sum| saturate(divide(sum, count), op.activation) as u8)
}

/// The ends of four channels by a reciprocal.
#[inline(never)]
fn multiplied(sums: [u32; 2], signed: bool, count: usize, op: &AveragePool2d<'_>) -> [u8; 4] {
    let multiplier = op.multiplier(count).unwrap_or(0);
    of_channels(sums, signed).map(|sum| mean(sum, multiplier, op.right_shift, op.activation) as u8)
}

/// The sums in the order of the channels.
#[inline]
fn of_channels([even, odd]: [u32; 2], signed: bool) -> [i32; 4] {
    let sum = |half: u32| if signed { i32::from(half as i16) } else { i32::from(half as u16) };
    [sum(even), sum(odd), sum(even >> 16), sum(odd >> 16)]
}

/// Four sums of 16 bits, each by itself.
#[inline]
fn add(a: [u32; 2], b: [u32; 2]) -> [u32; 2] {
    let halves = |a: u32, b: u32| (a & 0xffff_0000).wrapping_add(b & 0xffff_0000) | (a.wrapping_add(b) & 0xffff);
    [halves(a[0], b[0]), halves(a[1], b[1])]
}
