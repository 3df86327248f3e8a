//! Convolutions of 3x3 with a stride of 1 by Winograd's F(2x2, 3x3): 16 products instead of 36 for four pixels.
//!
//! A tile is two by two pixels of the output, and the four by four of the input that they read. Four tiles at a time are
//! transformed, multiplied place by place with every two output channels, and transformed back.

use super::columns::words;
use super::layer::end;
use super::scale::Scale;
use super::tile::End;
use super::winograd_loops::{Products, Run, TileOutput, multiply, transform};
use crate::format::{Activation, Conv2d, Element, Links, Weights, Winograd, has_slow_ends};
use crate::kernels::{View, ViewMut};

/// Tiles at a time.
const TILES: usize = Winograd::TILES;

/// Rows of a tile of the input.
const ROWS: usize = 4;

/// Sums of two channels in four tiles.
const SUMS: usize = 2 * 4 * TILES;

/// 2-D convolution of one group, weights in the order of [`Winograd`]. Spec 4.1.
///
/// input    `[H, W, C_IN]`          i8 or u8 codes at the input's step
/// weights  `[C_OUT, 4, 4, C_IN]`   16 bits, transformed and packed
/// bias     `[C_OUT]`               i32, rounding constant included
/// output   `[H_OUT, W_OUT, C_OUT]` codes at the output's step
/// scratch  [`Winograd::scratch_bytes`]
#[inline(never)]
pub fn winograd<const LINKS: Links>(op: &Conv2d<'_>, input: View<'_>, mut output: ViewMut<'_>, scratch: &mut [u8]) {
    let Some(order) = Winograd::new(&op.window, input.shape.c.into(), input.element()) else { return };
    let [tiles, products, columns, padding] = order.scratch_words();
    let scratch = words(scratch, tiles + products + columns + padding);
    let Some((tiles, rest)) = scratch.split_at_mut_checked(tiles) else { return };
    let Some((products, rest)) = rest.split_at_mut_checked(products) else { return };
    let Some((columns, padding)) = rest.split_at_mut_checked(columns) else { return };
    let [zero, ..] = op.weights.epilogue.input_zero().to_le_bytes();
    padding.fill(u32::from_le_bytes([zero; 4]));
    let source = Source { op, input: &input, order, padding: bytemuck::must_cast_slice(padding) };
    let layer = Layer {
        weights: &op.weights,
        activation: op.activation,
        end: end::<LINKS>(&op.weights, op.activation, output.element),
    };
    let mut grid = Grid::new(&output);
    while let Some(group) = grid.next_group(&output, |run| source.transform::<LINKS>(run, columns, tiles)) {
        layer.multiply::<LINKS>(tiles, products, columns, &group, &mut output);
    }
}

/// Neighbors of one row of tiles.
#[derive(Debug, Clone, Copy)]
struct TileRun {
    /// First of them among the tiles of its group.
    tile: usize,
    count: usize,
    /// First pixel of the output.
    oy: usize,
    ox: usize,
}

/// Where tiles end: as many of them as there are.
#[derive(Debug, Clone, Copy)]
struct Group {
    tiles: [TileOutput; TILES],
    count: usize,
}

/// The tiles of an output, row by row.
struct Grid {
    first_row: usize,
    h: usize,
    w: usize,
    y: usize,
    x: usize,
}

impl Grid {
    fn new(output: &ViewMut<'_>) -> Self {
        let (w, channels) = (usize::from(output.shape.w), usize::from(output.shape.c));
        let h = output.len().checked_div(w * channels).unwrap_or(0);
        Self { first_row: output.first_row, h, w, y: 0, x: 0 }
    }

    /// The next four tiles, or what is left; `transform` is called for each run of them.
    #[inline]
    fn next_group(&mut self, output: &ViewMut<'_>, mut transform: impl FnMut(TileRun)) -> Option<Group> {
        let channels = usize::from(output.shape.c);
        // Not zeros, which would be a call of their own; tiles that are not counted are not used.
        let unused = TileOutput { start: self.x, row_step: channels, column_step: channels };
        let mut group = Group { tiles: [unused; TILES], count: 0 };
        while group.count < TILES && self.y < self.h {
            let count = (TILES - group.count).min((self.w - self.x).div_ceil(2));
            transform(TileRun { tile: group.count, count, oy: self.first_row + self.y, ox: self.x });
            // Of two pixels in one place the one that there is is written last.
            let row_step = if self.y + 1 < self.h { self.w * channels } else { 0 };
            for tile in group.tiles.iter_mut().skip(group.count).take(count) {
                let column_step = if self.x + 1 < self.w { channels } else { 0 };
                *tile = TileOutput { start: (self.y * self.w + self.x) * channels, row_step, column_step };
                self.x += 2;
            }
            group.count += count;
            if self.x >= self.w {
                (self.y, self.x) = (self.y + 2, 0);
            }
        }
        (group.count > 0).then_some(group)
    }
}

/// What tiles are transformed from.
struct Source<'a> {
    op: &'a Conv2d<'a>,
    input: &'a View<'a>,
    order: Winograd,
    /// A row of pixels of padding.
    padding: &'a [u8],
}

impl Source<'_> {
    fn transform<const LINKS: Links>(&self, run: TileRun, columns: &mut [u32], tiles: &mut [u32]) {
        let pad_left = usize::from(self.op.window.pad_left);
        let spanned = 2 * run.count + 2;
        let left = pad_left.saturating_sub(run.ox).min(spanned);
        let x = (run.ox + left).saturating_sub(pad_left);
        let inside = usize::from(self.input.shape.w).saturating_sub(x).min(spanned - left);
        if left > 0 || left + inside < spanned {
            self.pad(columns, left, inside);
        }
        let rows = [0, 1, 2, 3].map(|row| self.row(run.oy + row, x));
        transform::<LINKS>(Run {
            signed: self.input.element() == Element::I8,
            rows,
            channels: self.order.in_ch,
            left,
            inside,
            columns,
            count: run.count,
            tiles: tiles.get_mut(run.tile..).unwrap_or_default(),
        });
    }

    /// A row of the input from a column on, those of padding counted.
    fn row(&self, padded: usize, x: usize) -> &[u8] {
        let y = padded.wrapping_sub(self.op.window.pad_top.into());
        if y < self.input.first_row || y >= self.input.shape.h.into() {
            return self.padding;
        }
        self.input.bytes.get(self.input.place(y, x)..).unwrap_or(self.padding)
    }

    /// Columns that are padding, transformed: the second place of the four is a sum, the others differences.
    #[inline(never)]
    fn pad(&self, columns: &mut [u32], left: usize, inside: usize) {
        let twice = u32::from((2 * self.op.weights.epilogue.input_zero()).cast_unsigned());
        for (row, columns) in columns.chunks_exact_mut(2 * Winograd::COLUMNS).take(ROWS).enumerate() {
            let value = if row == 1 { twice | twice << 16 } else { 0 };
            let (columns, _) = columns.as_chunks_mut::<2>();
            for (index, column) in columns.iter_mut().enumerate() {
                if index.wrapping_sub(left) >= inside {
                    *column = [value; 2];
                }
            }
        }
    }
}

/// A layer's constants.
struct Layer<'a> {
    weights: &'a Weights<'a>,
    activation: Activation,
    end: End,
}

impl Layer<'_> {
    /// Multiplies the transforms of a group of tiles by all channels; `free` is scratch.
    fn multiply<const LINKS: Links>(
        &self,
        tiles: &[u32],
        products: &mut [u32],
        free: &mut [u32],
        group: &Group,
        output: &mut ViewMut<'_>,
    ) {
        let group_tiles = group.tiles.get(..group.count).unwrap_or_default();
        if has_slow_ends(LINKS) && self.end == End::Accumulators {
            let sums = free.get_mut(..SUMS).unwrap_or_default();
            self.slow::<LINKS>(tiles, products, sums, group_tiles, output);
            return;
        }
        multiply::<LINKS>(Products {
            weights: self.weights.codes,
            tiles,
            products,
            bias: self.weights.bias,
            scale: Scale::new::<LINKS>(&self.weights.epilogue, 0),
            places: group_tiles,
            output: output.bytes,
            channel_step: 1,
            end: self.end,
        });
    }

    /// An end that the loop has not, two channels at a time.
    #[inline(never)]
    fn slow<const LINKS: Links>(
        &self,
        tiles: &[u32],
        products: &mut [u32],
        sums: &mut [u32],
        group: &[TileOutput],
        output: &mut ViewMut<'_>,
    ) {
        let channels = self.weights.bias.len() / 4;
        let pair_bytes = tiles.len() / TILES * 8;
        for channel in (0..channels).step_by(2) {
            let places = [0, 1, 2, 3].map(|tile| TileOutput { start: 16 * tile, row_step: 8, column_step: 4 });
            let bias = self.weights.bias.get(4 * channel..).unwrap_or_default();
            multiply::<LINKS>(Products {
                weights: self.weights.codes.get(channel / 2 * pair_bytes..).unwrap_or_default(),
                tiles,
                products,
                bias: bias.get(..8).unwrap_or(bias),
                scale: Scale::NONE,
                places: places.get(..group.len()).unwrap_or_default(),
                output: bytemuck::must_cast_slice_mut(sums),
                channel_step: 4 * SUMS / 2,
                end: End::Accumulators,
            });
            for (second, sums) in sums.chunks_exact(SUMS / 2).take(channels - channel).enumerate() {
                self.requantize::<LINKS>(channel + second, sums, group, output);
            }
        }
    }

    /// Ends the sums of one channel.
    fn requantize<const LINKS: Links>(
        &self,
        channel: usize,
        sums: &[u32],
        group: &[TileOutput],
        output: &mut ViewMut<'_>,
    ) {
        let requantizer = self.weights.epilogue.channel(channel);
        for (tile, sums) in group.iter().zip(sums.as_chunks::<4>().0) {
            for (pixel, sum) in sums.iter().enumerate().rev() {
                let place = tile.start + (pixel / 2) * tile.row_step + (pixel % 2) * tile.column_step;
                output.put(place + channel, requantizer.apply::<LINKS>(sum.cast_signed(), self.activation));
            }
        }
    }
}
