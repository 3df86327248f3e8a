//! The inner loops, checked: each runs in vector instructions, or without them as its twin in Rust.

#[cfg(stepshift_backend = "mve")]
use super::arm as native;
use super::lanes::LanesTile;
use super::tile::Tile;
#[cfg(not(stepshift_backend = "mve"))]
use super::twin as native;

/// Multiplies the columns of `PIXELS` pixels by every channel of a tile. Nothing where the tile contradicts itself.
#[inline]
pub(super) fn multiply<const LINKS: u64, const PIXELS: usize>(tile: Tile<'_, PIXELS>) {
    if tile.is_consistent() {
        native::multiply::<LINKS, PIXELS>(tile);
    }
}

/// Multiplies the inputs under a window by their weights, channel by channel. Nothing where the operands contradict each other.
#[inline]
pub(super) fn multiply_lanes(tile: LanesTile<'_>) {
    if tile.is_consistent() {
        native::multiply_lanes(tile);
    }
}

/// The place of a tap that is padding.
#[inline]
pub(super) fn padding(input: &[u8], zeros: &[u8]) -> u32 {
    native::padding(input, zeros)
}

/// Rows of codes under the windows of pixels that lie side by side.
#[derive(Debug, Clone, Copy)]
pub(super) struct Rows<'a> {
    pub(super) bytes: &'a [u8],
    /// Bytes of a row.
    pub(super) len: usize,
    pub(super) count: usize,
    /// Bytes from one row to the next.
    pub(super) step: usize,
    /// Bytes from one pixel to the next.
    pub(super) pixel_step: usize,
    /// True for codes without a sign: 128 is subtracted.
    pub(super) unsigned: bool,
}

/// Copies the rows of each pixel, so that they begin `row_step` bytes apart, and pixels `pixel_step` bytes.
/// False where there are fewer bytes.
#[inline]
#[must_use]
pub(super) fn copy<const PIXELS: usize>(rows: Rows<'_>, target: &mut [u8], row_step: usize, pixel_step: usize) -> bool {
    let (Some(last_row), Some(last_pixel)) = (rows.count.checked_sub(1), PIXELS.checked_sub(1)) else { return true };
    if rows.len == 0 {
        return true;
    }
    let enough = last_row * rows.step + last_pixel * rows.pixel_step + rows.len <= rows.bytes.len()
        && last_row * row_step + last_pixel * pixel_step + rows.len <= target.len();
    if enough {
        native::copy::<PIXELS>(rows, target, row_step, pixel_step);
    }
    enough
}

/// Fills bytes with one value.
#[inline]
pub(super) fn fill(target: &mut [u8], value: u8) {
    native::fill(target, value);
}
