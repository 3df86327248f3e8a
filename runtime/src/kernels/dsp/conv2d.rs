use super::CONV_COLUMNS;
use super::columns::{Gather, Layout, OutputRow, words};
use super::layer::Layer;
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
    let Some(order) = Pairs::new(runs, op.weights.bits) else { return };
    let columns = words(scratch, order.channel_len() / 2 * CONV_COLUMNS);
    let layer =
        Layer::new::<LINKS>(&op.weights, order, op.activation, (bands.output().element, bands.output().shape.c));
    let layout = Layout::new((bands.input(), bands.output()), &op.window, op.weights.epilogue.input_zero());
    bands.round_rows(CONV_COLUMNS as u16);
    while let Some((input, mut output)) = bands.next() {
        band::<LINKS>(&layer, &Gather { input, layout: &layout }, &mut output, columns);
    }
}

/// Some rows of the output.
fn band<const LINKS: Links>(layer: &Layer<'_>, gather: &Gather<'_>, output: &mut ViewMut<'_>, columns: &mut [u32]) {
    let mut pixels = Pixels::new(gather, output);
    let count = output.len() / usize::from(output.shape.c).max(1);
    let mut first = 0;
    while first < count {
        // Three pixels at the end are computed with the one before them, once more.
        match (count - first, first) {
            (1 | 2, _) | (3, 0) if Case::Remainder.is_in(LINKS) => {
                let column = columns.get_mut(..columns.len() / CONV_COLUMNS).unwrap_or_default();
                pixels.fill::<LINKS>(column);
                layer.multiply::<LINKS, 1>(column, first, output);
                first += 1;
                continue;
            }
            (3, _) if Case::Remainder.is_in(LINKS) => {
                first -= 1;
                pixels.step_back();
            }
            _ => {}
        }
        pixels.fill_tile::<LINKS>(columns);
        layer.multiply::<LINKS, CONV_COLUMNS>(columns, first, output);
        first += CONV_COLUMNS;
    }
}

/// The output's pixels, row by row.
struct Pixels<'g, 'a> {
    gather: &'g Gather<'a>,
    w: usize,
    oy: usize,
    ox: usize,
    row: OutputRow,
}

impl<'g, 'a> Pixels<'g, 'a> {
    fn new(gather: &'g Gather<'a>, output: &ViewMut<'_>) -> Self {
        let (oy, w) = (output.first_row, usize::from(output.shape.w).max(1));
        Self { gather, w, oy, ox: 0, row: gather.output_row(oy) }
    }

    /// To any pixel.
    #[inline(never)]
    fn go_to(&mut self, oy: usize, ox: usize) {
        (self.oy, self.ox) = (oy, ox);
        self.row = self.gather.output_row(oy);
    }

    /// Back by one pixel.
    #[inline(never)]
    fn step_back(&mut self) {
        match self.ox.checked_sub(1) {
            Some(ox) => self.ox = ox,
            None => self.go_to(self.oy.saturating_sub(1), self.w - 1),
        }
    }

    /// The row of the next pixel.
    #[inline]
    fn find_row(&mut self) {
        if self.ox == self.w {
            self.go_to(self.oy + 1, 0);
        }
    }

    /// Fills the columns of the next four pixels.
    #[inline]
    fn fill_tile<const LINKS: Links>(&mut self, target: &mut [u32]) {
        self.find_row();
        let is_band =
            Case::Band.is_in(LINKS) && self.gather.layout.shares_columns() && self.ox + CONV_COLUMNS <= self.w;
        if is_band && self.gather.tile::<LINKS>(&self.row, self.ox, target) {
            self.ox += CONV_COLUMNS;
            return;
        }
        let (first_row, first_column) = (self.oy, self.ox);
        if self.fill_windows::<LINKS>(target) {
            return;
        }
        self.go_to(first_row, first_column);
        for column in 0..CONV_COLUMNS {
            self.find_row();
            self.gather.clipped::<LINKS>(
                &self.row,
                self.ox,
                CONV_COLUMNS,
                target.get_mut(column..).unwrap_or_default(),
            );
            self.ox += 1;
        }
    }

    /// Fills the columns of the next four pixels at once. False where the input has not all rows of their windows.
    #[inline]
    fn fill_windows<const LINKS: Links>(&mut self, target: &mut [u32]) -> bool {
        let (mut starts, mut columns) = ([0; CONV_COLUMNS], [0; CONV_COLUMNS]);
        for (start, ox) in starts.iter_mut().zip(&mut columns) {
            self.find_row();
            let Some(place) = self.gather.window_start::<LINKS>(&self.row, self.ox) else { return false };
            (*start, *ox) = (place, self.ox);
            self.ox += 1;
        }
        self.gather.windows::<LINKS>(starts, columns, target)
    }

    /// Fills the column of the next pixel.
    #[inline]
    fn fill<const LINKS: Links>(&mut self, target: &mut [u32]) {
        self.find_row();
        self.gather.column::<LINKS>(&self.row, self.ox, target);
        self.ox += 1;
    }
}
