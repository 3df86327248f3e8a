//! The inner loops, checked: each runs in Thumb instructions, or elsewhere as its twin in Rust.

#[cfg(stepshift_backend = "v6m")]
use super::arm as native;
use super::taps::Taps;
use super::tile::{CHANNELS, PIXELS, SMALL, Tile};
#[cfg(not(stepshift_backend = "v6m"))]
use super::twin as native;

/// Words whose halves add up to less than `2^16`, each half being a byte.
const WORDS_AT_A_TIME: usize = 256;

/// Multiplies the columns of two pixels by every four of channels of a tile. Nothing where the tile contradicts itself.
#[inline]
pub(super) fn multiply(tile: Tile<'_>) {
    if tile.is_consistent() {
        native::multiply(tile);
    }
}

/// Multiplies and adds the entries of a depthwise window, channel by channel. Nothing where they contradict each other.
#[inline]
pub(super) fn multiply_taps(taps: Taps<'_>) {
    if taps.is_consistent() {
        native::multiply_taps(taps);
    }
}

/// Products of inputs with four channels, inputs and weights not negative.
#[derive(Debug, Clone, Copy, Default)]
#[repr(C)]
pub(super) struct Dots {
    /// `sum(u * v)` of every channel.
    pub(super) sums: [i32; CHANNELS],
    /// `sum(u)`.
    pub(super) inputs: i32,
}

/// Multiplies bytes, each `flip`ped, by the weights of four channels; zeros where there are fewer weights.
#[inline]
pub(super) fn dots(input: &[u8], weights: &[u8], flip: u8) -> Dots {
    let enough = !input.is_empty() && input.len() <= weights.len() / CHANNELS;
    if enough { native::dots(input, weights, flip) } else { Dots::default() }
}

/// Rows of bytes that lie side by side.
#[derive(Debug, Clone, Copy)]
pub(super) struct Rows<'a> {
    pub(super) bytes: &'a [u8],
    /// Bytes from one row to the next.
    pub(super) step: usize,
    pub(super) count: usize,
    /// Bytes of a row.
    pub(super) len: usize,
}

/// Puts rows of bytes into one half of as many words: `half` 0 the lower one, 1 the upper one. False where there are fewer
/// bytes or words, or a row is further from the next than 16 MiB.
#[inline]
#[must_use]
pub(super) fn spread(rows: Rows<'_>, half: usize, words: &mut [u32]) -> bool {
    let Rows { bytes, step, count, len } = rows;
    if count == 0 || len == 0 {
        return true;
    }
    // All products stay below 2^32.
    let small = count <= 256 && step < 1 << 24 && len < SMALL && half < PIXELS;
    let enough = small && (count - 1) * step + len <= bytes.len() && count * len <= words.len();
    if enough {
        native::spread(rows, half, words);
    }
    enough
}

/// Flips both halves of every word, and adds them up: `flip` for the lower half and the upper one. An even number of words.
#[inline]
pub(super) fn flip_and_sum(words: &mut [u32], flip: u8) -> [i32; PIXELS] {
    let flip = u32::from(flip) << 16 | u32::from(flip);
    let mut sums = [0; PIXELS];
    for words in words.chunks_mut(WORDS_AT_A_TIME).filter(|words| words.len().is_multiple_of(2)) {
        let sum = native::flip_and_sum(words, flip);
        sums[0] += (sum & 0xffff).cast_signed();
        sums[1] += (sum >> 16).cast_signed();
    }
    sums
}
