//! The loops over Winograd's tiles, checked: each runs in the instructions of the DSP extension, or without it as its twin.

#[cfg(stepshift_backend = "dsp")]
use super::arm as native;
use super::scale::Scale;
use super::tile::End;
#[cfg(not(stepshift_backend = "dsp"))]
use super::twin as native;
use super::winograd_twin;
use crate::format::{Case, Links, PLACES, Winograd};

/// Bytes of what one place's products read of the transforms, or of the weights of two channels, by input channel.
const PLACE_BYTES: usize = 2 * Winograd::TILES;

/// Tiles side by side, to be transformed.
#[derive(Debug)]
pub(super) struct Run<'a> {
    /// Codes have a sign.
    pub(super) signed: bool,
    /// Of each of the four rows, from the first column that is inside on.
    pub(super) rows: [&'a [u8]; 4],
    /// Channels of a pixel, a multiple of 4.
    pub(super) channels: usize,
    /// Columns of padding before it, and columns inside.
    pub(super) left: usize,
    pub(super) inside: usize,
    /// Columns that the first pass has transformed, four channels of one row behind the other:
    /// `[4, Winograd::COLUMNS, 2]` halves of 16 bits, channels 0 and 2, then 1 and 3. Those of padding are there.
    pub(super) columns: &'a mut [u32],
    /// Tiles: at most [`Winograd::TILES`].
    pub(super) count: usize,
    /// `[place][step][tile]` pairs of inputs, from the first tile on; four channels are two steps.
    pub(super) tiles: &'a mut [u32],
}

/// Transforms the input of a few tiles. Nothing where the operands contradict themselves.
#[inline]
pub(super) fn transform<const LINKS: Links>(run: Run<'_>) {
    let Some(last) = run.inside.checked_sub(1) else { return };
    let words = PLACES * Winograd::TILES * run.channels / 2;
    let enough = run.channels > 0
        && run.channels.is_multiple_of(4)
        && run.rows.iter().all(|row| (last + 1) * run.channels <= row.len())
        && (1..=Winograd::TILES).contains(&run.count)
        && run.left + run.inside <= 2 * run.count + 2
        && run.columns.len() == 8 * Winograd::COLUMNS
        && words + run.count <= run.tiles.len() + Winograd::TILES;
    if enough {
        native::transform::<LINKS>(run);
    }
}

/// Where the codes of a tile go.
#[derive(Debug, Clone, Copy, Default)]
#[repr(C)]
pub(super) struct TileOutput {
    /// Byte of the first pixel's first channel.
    pub(super) start: usize,
    /// To the pixel below, and to the one beside it; 0 where there is none.
    pub(super) row_step: usize,
    pub(super) column_step: usize,
}

/// Operands of the loop over pairs of channels.
#[derive(Debug)]
pub(super) struct Products<'a> {
    /// Pairs of channels in the order of [`Winograd`].
    pub(super) weights: &'a [u8],
    /// `[place][step][tile]` pairs of inputs.
    pub(super) tiles: &'a [u32],
    /// Where the products of a pair are put: `[place][channel][tile]`.
    pub(super) products: &'a mut [u32],
    /// An i32 a channel.
    pub(super) bias: &'a [u8],
    /// An entry a channel, or one for all.
    pub(super) scale: Scale<'a>,
    /// Where each tile ends; four bytes a sum instead of one code for [`End::Accumulators`].
    pub(super) places: &'a [TileOutput],
    pub(super) output: &'a mut [u8],
    /// Bytes from one channel to the next.
    pub(super) channel_step: usize,
    pub(super) end: End,
}

impl Products<'_> {
    /// Channels.
    pub(super) const fn channels(&self) -> usize {
        self.bias.len() / 4
    }

    /// Every loop stays inside its operands.
    fn is_consistent(&self) -> bool {
        let Some(last) = self.channels().checked_sub(1) else { return false };
        let pairs = self.channels().div_ceil(2);
        let tile_bytes = 4 * self.tiles.len();
        let in_ch = tile_bytes / (PLACES * PLACE_BYTES);
        let code_bytes = if self.end == End::Accumulators { 4 } else { 1 };
        let ends = |tile: &TileOutput| {
            let steps = tile.row_step.saturating_add(tile.column_step).saturating_add(code_bytes);
            tile.start.saturating_add(steps).saturating_add(last.saturating_mul(self.channel_step))
        };
        in_ch >= 4
            && tile_bytes == in_ch * PLACES * PLACE_BYTES
            && in_ch.is_multiple_of(4)
            && (pairs * in_ch).saturating_mul(4 * PLACES) <= self.weights.len()
            && self.products.len() >= 2 * PLACES * Winograd::TILES
            && self.scale.has(self.channels())
            && (1..=Winograd::TILES).contains(&self.places.len())
            && self.places.iter().all(|tile| ends(tile) <= self.output.len())
    }
}

/// Multiplies the transforms of four tiles by every channel, and ends the sums of those that are asked for; a model that lies
/// at no multiple of 4 by slower means. Nothing where the operands contradict themselves.
#[inline]
pub(super) fn multiply<const LINKS: Links>(products: Products<'_>) {
    if !products.is_consistent() {
        return;
    }
    // One instruction loads two words of weights; it wants them aligned, as they are in the file.
    if products.weights.as_ptr().addr().is_multiple_of(4) {
        native::multiply_tiles::<LINKS>(products);
    } else if Case::Place.is_in(LINKS) {
        winograd_twin::multiply_tiles(products);
    }
}
