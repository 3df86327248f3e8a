use super::instructions::{PIXELS_OF_A_SUM, sum_pixels};
use crate::arithmetic::{mean, saturate};
use crate::format::{AveragePool2d, Case, Detail, Element, Links};
use crate::kernels::portable::divide;
use crate::kernels::window::{Span, positions};
use crate::kernels::{View, ViewMut};

/// Every second byte of a word.
const EVEN: u32 = 0x00ff_00ff;

/// 1 in both halves of a word.
const ONES: u32 = 0x0001_0001;

/// Mean over a window of a tensor of 8 bits whose channels are a multiple of 4; false for others, which it leaves alone.
/// Spec 4.5.
///
/// input    `[H, W, C]`          codes
/// output   `[H_OUT, W_OUT, C]`  codes
#[must_use]
pub fn average_pool2d<const LINKS: Links>(op: &AveragePool2d<'_>, input: &View<'_>, output: &mut ViewMut<'_>) -> bool {
    let channels = usize::from(input.shape.c).max(1);
    if Case::Operator.is_in(LINKS) && !has_average_pool(op, input.shape.c, [input.element(), output.element]) {
        return false;
    }
    let signed = !Element::U8.is_in(LINKS) || input.element() == Element::I8;
    let affine = op.divides::<LINKS>();
    let has_halves = Detail::Quarter.is_in(LINKS) && input.element() == output.element;
    let halves = if has_halves { Halves::new(op, affine, signed) } else { None };
    for ((oy, ox), codes) in positions(output).zip(output.bytes.chunks_exact_mut(channels)) {
        let rows = Span::rows::<LINKS>(&op.window, input.shape, oy);
        let columns = Span::columns::<LINKS>(&op.window, input.shape, ox);
        let count = rows.len * columns.len;
        // Whole rows lie one behind the other.
        let whole = columns.len == usize::from(input.shape.w);
        let (runs, pixels) = if whole { (1, count) } else { (rows.len, columns.len) };
        let first = input.place(rows.input, columns.input);
        if let (Some(halves), (2, 2)) = (halves, (rows.len, columns.len)) {
            let pair = |at: usize| input.bytes.get(at..).and_then(|codes| codes.get(..2 * channels));
            if let (Some(upper), Some(lower)) = (pair(first), pair(first + input.row_len())) {
                halves.means(upper, lower, codes);
            }
            continue;
        }
        for (quad, codes) in codes.as_chunks_mut::<4>().0.iter_mut().enumerate() {
            let mut sums = [0_u32; 2];
            for run in 0..runs {
                let start = first + run * input.row_len() + 4 * quad;
                let run = input.bytes.get(start..).unwrap_or_default();
                sums = add(sums, sum_pixels::<LINKS>(signed, run, channels, pixels));
            }
            *codes = if affine { divided(sums, signed, count, op) } else { multiplied(sums, signed, count, op) };
        }
    }
    true
}

/// Whether the instructions have the means of a tensor, in another.
pub fn has_average_pool(op: &AveragePool2d<'_>, channels: u16, elements: [Element; 2]) -> bool {
    !elements.contains(&Element::I16) && channels.is_multiple_of(4) && op.window.taps() <= PIXELS_OF_A_SUM
}

/// How the mean of four codes, those of the window 2x2, rounds two sums in the halves of a word at a time: codes are told by
/// what they are above the least, of a sign by 128, and the sum of four of them is that much times four.
#[derive(Debug, Clone, Copy)]
struct Halves {
    /// Makes of four codes what they are above the least, and back.
    flips: u32,
    /// Added to every sum before it is shifted by 2.
    half: u32,
    /// Bit 0 of both halves where sums that are not negative get 1 more: those are from `4 * 128` = 2^9 on.
    sign: u32,
}

impl Halves {
    /// Half away from zero in the affine scheme, half up by the reciprocal of 4; `None` for another one, and for bounds that
    /// are narrower than the codes.
    fn new(op: &AveragePool2d<'_>, affine: bool, signed: bool) -> Option<Self> {
        let element = if signed { Element::I8 } else { Element::U8 };
        let is_quarter =
            affine || op.multiplier(4).is_some_and(|quarter| 4 * i64::from(quarter) == 1 << (op.right_shift & 31));
        let is_full = (op.activation.min, op.activation.max) == (element.min(), element.max());
        let away = affine && signed;
        let (half, sign) = if away { (ONES, ONES) } else { (2 * ONES, 0) };
        (is_quarter && is_full).then_some(Self { flips: if signed { 0x8080_8080 } else { 0 }, half, sign })
    }

    /// Four channels at a time, without a loop over the pixels.
    ///
    /// upper, lower  two pixels each
    #[inline]
    fn means(self, upper: &[u8], lower: &[u8], means: &mut [u8]) {
        let channels = means.len();
        let (Some((a, b)), Some((c, d))) = (upper.split_at_checked(channels), lower.split_at_checked(channels)) else {
            return;
        };
        let quads = quads(a).iter().zip(quads(b)).zip(quads(c)).zip(quads(d));
        for (mean, (((a, b), c), d)) in means.as_chunks_mut::<4>().0.iter_mut().zip(quads) {
            let word = |bytes: &[u8; 4]| u32::from_le_bytes(*bytes) ^ self.flips;
            let (a, b, c, d) = (word(a), word(b), word(c), word(d));
            let even = (a & EVEN) + (b & EVEN) + (c & EVEN) + (d & EVEN);
            let odd = ((a >> 8) & EVEN) + ((b >> 8) & EVEN) + ((c >> 8) & EVEN) + ((d >> 8) & EVEN);
            let round = |sums: u32| ((sums + self.half + ((sums >> 9) & self.sign)) >> 2) & EVEN;
            *mean = ((round(even) | round(odd) << 8) ^ self.flips).to_le_bytes();
        }
    }
}

/// Codes in fours.
#[inline]
fn quads(codes: &[u8]) -> &[[u8; 4]] {
    codes.as_chunks().0
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
