//! The inner loops, checked: each runs in the instructions of the DSP extension, or without it as its twin in Rust.

#[cfg(stepshift_backend = "dsp")]
use super::arm as native;
use super::taps::Taps;
use super::tile::Tile;
#[cfg(not(stepshift_backend = "dsp"))]
use super::twin as native;
use crate::format::Element;

/// Multiplies the columns of `PIXELS` pixels by every pair of channels of a tile. Nothing where the tile contradicts itself.
#[inline]
pub(super) fn multiply<const PIXELS: usize>(tile: Tile<'_>) {
    if tile.is_consistent(PIXELS) {
        native::multiply::<PIXELS>(tile);
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
pub(super) fn widen<const STRIDE: usize>(rows: Rows<'_>, target: &mut [u32]) -> bool {
    let (Some(last_row), Some(last_word)) = (rows.count.checked_sub(1), (2 * rows.count * rows.quads).checked_sub(1))
    else {
        return true;
    };
    let enough = last_row * rows.step + rows.quads * 4 * rows.element.bytes() <= rows.bytes.len()
        && last_word * STRIDE < target.len();
    if enough {
        native::widen::<STRIDE>(rows, target);
    }
    enough
}

/// Accumulates the taps of one pixel, every quad of its channels. Nothing where the taps contradict themselves.
#[inline]
pub(super) fn depthwise(taps: Taps<'_>) {
    if taps.is_consistent() {
        native::depthwise(taps);
    }
}
