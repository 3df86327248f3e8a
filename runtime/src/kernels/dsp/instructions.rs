//! The inner loops, checked: each runs in the instructions of the DSP extension, or without it as its twin in Rust.

#[cfg(stepshift_backend = "dsp")]
use super::arm as native;
use super::taps::Taps;
use super::tile::{End, Tile};
#[cfg(not(stepshift_backend = "dsp"))]
use super::twin as native;
use crate::format::Element;

/// Multiplies the columns of `PIXELS` pixels by every pair of channels of a tile. Nothing where the tile contradicts itself.
#[inline]
pub(super) fn multiply<const LINKS: u64, const PIXELS: usize>(tile: Tile<'_>) {
    if tile.is_consistent(PIXELS) {
        native::multiply::<LINKS, PIXELS>(tile);
    }
}

/// Rows of codes that lie side by side.
#[derive(Debug, Clone, Copy)]
pub(super) struct Rows<'a> {
    pub(super) element: Element,
    pub(super) bytes: &'a [u8],
    /// Bytes from one row to the next.
    pub(super) step: usize,
    pub(super) count: usize,
    /// Four times so many codes a row.
    pub(super) quads: usize,
}

/// Widens rows of codes to 16 bits, into every `STRIDE`-th word: codes 0 and 2 of each four, then codes 1 and 3.
/// False where there are fewer bytes, or words.
#[inline]
#[must_use]
pub(super) fn widen<const LINKS: u64, const STRIDE: usize>(rows: Rows<'_>, target: &mut [u32]) -> bool {
    let (Some(last_row), Some(last_word)) = (rows.count.checked_sub(1), (2 * rows.count * rows.quads).checked_sub(1))
    else {
        return true;
    };
    let enough = last_row * rows.step + rows.quads * 4 * rows.element.bytes() <= rows.bytes.len()
        && last_word * STRIDE < target.len();
    if enough {
        native::widen::<LINKS, STRIDE>(rows, target);
    }
    enough
}

/// Accumulates the taps of one pixel, every quad of its channels. Nothing where the taps contradict themselves.
#[inline]
pub(super) fn depthwise<const LINKS: u64>(taps: Taps<'_>) {
    if taps.is_consistent() {
        native::depthwise::<LINKS>(taps);
    }
}

/// What an addition does with two codes: `(a * factor_a + b * factor_b + rounding) >> right_shift`, saturated.
#[derive(Debug, Clone, Copy)]
pub(super) struct Sum {
    /// Operands have a sign.
    pub(super) signed: bool,
    /// Factor of `a` in the low half, of `b` in the high one.
    pub(super) factors: u32,
    pub(super) rounding: i32,
    /// Less than 32.
    pub(super) right_shift: usize,
    /// Not [`End::Accumulators`].
    pub(super) end: End,
}

/// Where an addition finds its first operand.
#[derive(Debug)]
pub(super) enum First<'a> {
    /// In the place of the sum.
    InPlace,
    Apart(&'a [u8]),
}

/// Adds whole quads of codes; how many bytes were written.
#[inline]
pub(super) fn add(sum: &Sum, a: &First<'_>, b: &[u8], output: &mut [u8]) -> usize {
    let len = match a {
        First::InPlace => output.len(),
        First::Apart(a) => a.len().min(output.len()),
    };
    let quads = len.min(b.len()) / 4;
    if quads > 0 {
        native::add(sum, a, b, output, quads);
    }
    4 * quads
}

/// Most pixels whose codes add up within 16 bits.
pub(super) const PIXELS_OF_A_SUM: usize = 256;

/// Sums of four channels over pixels `pitch` bytes apart, at most [`PIXELS_OF_A_SUM`]: of channels 0 and 2, then 1 and 3, in
/// halves of words. 0 where there are fewer pixels.
#[inline]
pub(super) fn sum_pixels(signed: bool, input: &[u8], pitch: usize, pixels: usize) -> [u32; 2] {
    match pixels.checked_sub(1) {
        Some(last) if last < PIXELS_OF_A_SUM && last * pitch + 4 <= input.len() => {
            native::sum_pixels(signed, input, pitch, pixels)
        }
        _ => [0; 2],
    }
}
