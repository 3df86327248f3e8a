use core::array;

use super::CONV_COLUMNS;
use super::columns::{Gather, Layout, OutputRow, Pixel, TilePixels, words};
use super::layer::{Channels, Layer};
use crate::format::{Case, Conv2d, Links, Pairs, Runs};
use crate::kernels::{Bands, ViewMut};

/// 2-D convolution of one group, weights in [`Pairs`]: four pixels of the output at a time. Spec 4.1.
///
/// input    `[H, W, C_IN]`             codes at the input's step
/// weights  `[C_OUT, K_H, K_W, C_IN]`  4, 8 or 16 bits, packed
/// bias     `[C_OUT]`                  i32, rounding constant included
/// output   `[H_OUT, W_OUT, C_OUT]`    codes at the output's step
/// scratch  [`Pairs::scratch_bytes`] of [`CONV_COLUMNS`]
pub fn conv2d<const LINKS: Links>(op: &Conv2d<'_>, bands: &mut Bands<'_, LINKS>, scratch: &mut [u8]) {
    let runs = Runs::of_window(&op.window, bands.input().shape.c.into());
    let Some(order) = Pairs::of_tiles(op.weights.packing, runs, op.weights.bits) else { return };
    let column = order.channel_len() / 2;
    let columns = words(scratch, column * CONV_COLUMNS);
    let end = (bands.output().element, bands.output().shape.c);
    let channels = Channels::new::<LINKS>(&op.weights, op.activation, end, column, order.joined);
    let mut four = Layer::new::<LINKS>(&channels, CONV_COLUMNS);
    let layout = Layout::new((bands.input(), bands.output()), &op.window, op.weights.epilogue.input_zero());
    bands.round_rows(CONV_COLUMNS as u16);
    if Case::Remainder.is_in(LINKS) {
        let mut one = Layer::new::<LINKS>(&channels, 1);
        all_bands::<LINKS>(bands, Layers { four: &mut four, one: Some(&mut one) }, &layout, columns);
    } else {
        all_bands::<LINKS>(bands, Layers { four: &mut four, one: None }, &layout, columns);
    }
}

/// A layer for four pixels at a time, and for one where tiles leave a remainder.
struct Layers<'l, 'a> {
    four: &'l mut Layer<'a>,
    one: Option<&'l mut Layer<'a>>,
}

/// The output, as many rows at a time as are free.
#[inline(always)]
fn all_bands<const LINKS: Links>(
    bands: &mut Bands<'_, LINKS>,
    mut layers: Layers<'_, '_>,
    layout: &Layout<'_>,
    columns: &mut [u32],
) {
    while let Some((input, mut output)) = bands.next() {
        band::<LINKS>(&mut layers, &Gather { input, layout }, &mut output, columns);
    }
}

/// Some rows of the output.
fn band<const LINKS: Links>(
    layers: &mut Layers<'_, '_>,
    gather: &Gather<'_>,
    output: &mut ViewMut<'_>,
    columns: &mut [u32],
) {
    let mut pixels = Pixels::new::<LINKS>(gather, output);
    let count = output.len() / usize::from(output.shape.c).max(1);
    let mut first = 0;
    while first < count {
        if let Some(layer) = &mut layers.one
            && first + CONV_COLUMNS > count
        {
            // Three pixels at the end are computed with the one before them, once more.
            if count - first < 3 || first == 0 {
                let column = columns.get_mut(..columns.len() / CONV_COLUMNS).unwrap_or_default();
                gather.column::<LINKS>(pixels.next::<LINKS>(), 1, column);
                layer.multiply::<LINKS, 1>(column, first, output);
                first += 1;
                continue;
            }
            first -= 1;
            pixels.step_back();
        }
        gather.tile::<LINKS>(&pixels.next_tile::<LINKS>(), columns);
        layers.four.multiply::<LINKS, CONV_COLUMNS>(columns, first, output);
        first += CONV_COLUMNS;
    }
}

/// The output's pixels, row by row.
struct Pixels<'g, 'a> {
    gather: &'g Gather<'a>,
    w: usize,
    /// The pixel that is next; behind its row's end, that of the next row.
    oy: usize,
    ox: usize,
    row: OutputRow,
}

impl<'g, 'a> Pixels<'g, 'a> {
    fn new<const LINKS: Links>(gather: &'g Gather<'a>, output: &ViewMut<'_>) -> Self {
        let (oy, w) = (output.first_row, usize::from(output.shape.w).max(1));
        Self { gather, w, oy, ox: 0, row: gather.output_row::<LINKS>(oy) }
    }

    /// To the next row.
    #[inline(never)]
    fn next_row<const LINKS: Links>(&mut self) {
        (self.oy, self.ox) = (self.oy + 1, 0);
        self.row = self.gather.output_row::<LINKS>(self.oy);
    }

    /// Back by one pixel, behind which there was another one.
    const fn step_back(&mut self) {
        self.ox = self.ox.saturating_sub(1);
    }

    /// The row of the next pixel.
    #[inline]
    fn find_row<const LINKS: Links>(&mut self) {
        if self.ox == self.w {
            self.next_row::<LINKS>();
        }
    }

    /// The next pixel.
    #[inline]
    fn next<const LINKS: Links>(&mut self) -> Pixel {
        self.find_row::<LINKS>();
        let pixel = Pixel { oy: self.oy, ox: self.ox };
        self.ox += 1;
        pixel
    }

    /// The next four pixels.
    #[inline]
    fn next_tile<const LINKS: Links>(&mut self) -> TilePixels {
        self.find_row::<LINKS>();
        let (first, row) = (Pixel { oy: self.oy, ox: self.ox }, self.row);
        let starts = array::from_fn(|_| {
            if Case::Remainder.is_in(LINKS) {
                self.find_row::<LINKS>();
            }
            let is_like = !Case::Remainder.is_in(LINKS) || self.row.is_like(&row);
            let start = if is_like { self.gather.window_start(&self.row, self.ox) } else { usize::MAX };
            self.ox += 1;
            start
        });
        TilePixels { first, row, starts, w: self.w }
    }
}
