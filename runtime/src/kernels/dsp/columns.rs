//! Columns: the inputs under a window, widened to 16 bits, a pixel beside the next.

use super::CONV_COLUMNS;
use super::instructions::{BAND_COLUMNS, Band, Rows, Windows, widen, widen_band, widen_windows};
use crate::codes::Codes;
use crate::format::{ALL_LINKS, Case, Element, Links, TensorRecord, Window};
use crate::kernels::View;
use crate::kernels::window::Span;

/// How the inputs of a convolution fall into quads.
#[derive(Debug)]
pub(super) struct Layout<'a> {
    window: &'a Window,
    /// Code of the input that means 0: what padding reads as.
    zero: i16,
    /// Quads of a row of the kernel.
    quads: usize,
    /// Bytes of a pixel, and from one row of the kernel to the next.
    pixel_bytes: usize,
    row_step: usize,
    /// Output columns whose windows lie inside the input.
    inside_from: usize,
    inside_to: usize,
    /// Others do not.
    is_padded: bool,
    /// Windows of pixels side by side are those of a [`Band`].
    shares_columns: bool,
}

impl<'a> Layout<'a> {
    #[inline]
    pub(super) fn new((input, output): (&TensorRecord, &TensorRecord), window: &'a Window, zero: i16) -> Self {
        let (shape, element) = (input.shape, input.element);
        let (channels, element_bytes) = (usize::from(shape.c), element.bytes());
        let (kernel_w, pad_left) = (usize::from(window.kernel_w), usize::from(window.pad_left));
        let stride_w = usize::from(window.stride_w).max(1);
        let room = (usize::from(shape.w) + pad_left).checked_sub(kernel_w);
        // A dilated kernel is gathered entry by entry.
        let inside_to = room.filter(|_| window.dilation_w == 1).map_or(0, |room| room / stride_w + 1);
        Self {
            window,
            zero,
            quads: (kernel_w * channels).div_ceil(4),
            pixel_bytes: channels * element_bytes,
            row_step: usize::from(window.dilation_h) * usize::from(shape.w) * channels * element_bytes,
            inside_from: pad_left.div_ceil(stride_w),
            inside_to,
            is_padded: pad_left > 0 || inside_to < output.shape.w.into(),
            shares_columns: shares_columns(window, shape.c, element),
        }
    }

    /// Windows of pixels side by side are those of a [`Band`].
    #[inline]
    pub(super) const fn shares_columns(&self) -> bool {
        self.shares_columns
    }

    /// The windows of a column of the output lie inside the input.
    #[inline]
    const fn is_inside(&self, ox: usize) -> bool {
        ox >= self.inside_from && ox < self.inside_to
    }
}

/// Where the inputs of a convolution lie.
#[derive(Debug, Clone, Copy)]
pub(super) struct Gather<'a> {
    pub(super) input: View<'a>,
    pub(super) layout: &'a Layout<'a>,
}

/// An output row, and the input rows that it reads.
#[derive(Debug, Clone, Copy)]
pub(super) struct OutputRow {
    rows: Span,
    /// Byte of the first input row's first pixel.
    start: usize,
    /// All rows of the kernel are inside.
    inside: bool,
}

impl Gather<'_> {
    /// What the pixels of an output row share.
    pub(super) fn output_row(&self, oy: usize) -> OutputRow {
        let rows = Span::rows::<ALL_LINKS>(self.layout.window, self.input.shape, oy);
        let start = self.input.place(rows.input, 0) * self.input.element().bytes();
        OutputRow { rows, start, inside: rows.len == usize::from(self.layout.window.kernel_h) }
    }

    /// Fills the column of an output pixel.
    #[inline]
    pub(super) fn column<const LINKS: Links>(&self, row: &OutputRow, ox: usize, target: &mut [u32]) {
        if self.layout.is_inside(ox)
            && let Some(start) = self.window_start::<LINKS>(row, ox)
        {
            let rows = Rows {
                element: self.input.element(),
                bytes: self.input.bytes.get(start..).unwrap_or_default(),
                step: self.layout.row_step,
                count: row.rows.len,
                quads: self.layout.quads,
            };
            // The last run of a tensor may end in the middle of a quad.
            if widen::<LINKS, 1>(rows, target) {
                return;
            }
        }
        self.clipped::<LINKS>(row, ox, 1, target);
    }

    /// Byte of the input where the window of a pixel begins, as if the input went on where it reaches over the end of a row. `None`
    /// where it has not all of its rows, or is dilated; and, unless rows end within tiles, so that most tiles meet an end, where it has
    /// not all of its columns.
    #[inline]
    pub(super) fn window_start<const LINKS: Links>(&self, row: &OutputRow, ox: usize) -> Option<usize> {
        let layout = self.layout;
        let is_taken = if Case::Remainder.is_in(LINKS) { layout.window.dilation_w == 1 } else { layout.is_inside(ox) };
        let start = row.start + ox * usize::from(layout.window.stride_w) * layout.pixel_bytes;
        let start = start.checked_sub(usize::from(layout.window.pad_left) * layout.pixel_bytes);
        start.filter(|_| row.inside && is_taken)
    }

    /// Fills the columns of four pixels whose windows begin at these bytes. False where there are fewer of them.
    ///
    /// columns  of the output, of each pixel
    /// target   the words of the four columns
    #[inline]
    pub(super) fn windows<const LINKS: Links>(
        &self,
        starts: [usize; CONV_COLUMNS],
        columns: [usize; CONV_COLUMNS],
        target: &mut [u32],
    ) -> bool {
        let rows = usize::from(self.layout.window.kernel_h);
        let (element, bytes) = (self.input.element(), self.input.bytes);
        let windows = Windows { element, bytes, starts, step: self.layout.row_step, rows, quads: self.layout.quads };
        if !widen_windows::<LINKS>(windows, target) {
            return false;
        }
        if !Case::Remainder.is_in(LINKS) || !self.layout.is_padded {
            return true;
        }
        for (pixel, ox) in columns.into_iter().enumerate() {
            if !self.layout.is_inside(ox) {
                let channels = usize::from(self.input.shape.c);
                let columns = Span::columns::<ALL_LINKS>(self.layout.window, self.input.shape, ox);
                let run = (columns.kernel * channels, columns.len * channels);
                let target = target.get_mut(pixel..).unwrap_or_default();
                self.blank((rows, self.layout.quads), run, CONV_COLUMNS, target);
            }
        }
        true
    }

    /// Fills the columns of four pixels side by side, which [share](Layout::shares_columns) most of what is under their windows. False, and nothing
    /// that counts written, for pixels of which more than the outer column is padding.
    ///
    /// target  the words of the four columns
    #[inline(never)]
    pub(super) fn tile<const LINKS: Links>(&self, row: &OutputRow, ox: usize, target: &mut [u32]) -> bool {
        let second = (ox + 1).checked_sub(self.layout.window.pad_left.into());
        let in_w = usize::from(self.input.shape.w);
        let Some(second) = second.filter(|second| second + 4 <= in_w) else { return false };
        let (left, right) = (second > 0, second + 4 < in_w);
        let first = row.start + (second - usize::from(left)) * self.layout.pixel_bytes;
        let band = Band {
            element: self.input.element(),
            bytes: self.input.bytes.get(first..).unwrap_or_default(),
            pixel_bytes: self.layout.pixel_bytes,
            left,
            right,
            rows: row.rows.len,
            row_step: self.layout.row_step,
        };
        // Words of a column of the kernel.
        let column = 2 * self.layout.pixel_bytes;
        let above = row.rows.kernel * BAND_COLUMNS * column;
        let inside = target.get_mut(above..).and_then(|rest| rest.get_mut(..band.words()));
        let Some(inside) = inside else { return false };
        if !widen_band::<LINKS>(band, inside) {
            return false;
        }
        let mut columns = inside.chunks_exact_mut(column.max(1));
        while let (Some(first), Some(_), Some(last)) = (columns.next(), columns.next(), columns.next()) {
            if !left {
                self.fill(CONV_COLUMNS, first);
            }
            if !right {
                self.fill(CONV_COLUMNS, last.get_mut(3..).unwrap_or_default());
            }
        }
        let below = above + band.words();
        self.fill(1, target.get_mut(..above).unwrap_or_default());
        self.fill(1, target.get_mut(below..).unwrap_or_default());
        true
    }

    /// Fills the column of an output pixel whose window reaches over the input's edge, or is dilated; `target` begins at its first word.
    ///
    /// target  every `stride`-th word, two for each four inputs of a run
    #[inline(never)]
    pub(super) fn clipped<const LINKS: Links>(&self, row: &OutputRow, ox: usize, stride: usize, target: &mut [u32]) {
        let rows = row.rows;
        let columns = Span::columns::<ALL_LINKS>(self.layout.window, self.input.shape, ox);
        let channels = usize::from(self.input.shape.c);
        if !Case::Dilation.is_in(LINKS) || self.layout.window.dilation_w == 1 {
            let start = self.input.place(rows.input, columns.input);
            let run = (columns.kernel * channels, columns.len * channels);
            self.clipped_rows::<LINKS>(rows, start, run, stride, target);
            return;
        }
        let mut targets = target.chunks_mut((2 * channels.div_ceil(4) * stride).max(1));
        for ky in 0..self.layout.window.kernel_h.into() {
            for kx in 0..self.layout.window.kernel_w.into() {
                let Some(target) = targets.next() else { return };
                if !rows.covers(ky) || !columns.covers(kx) {
                    self.fill(stride, target);
                    continue;
                }
                let y = rows.input + (ky - rows.kernel) * rows.step;
                let x = columns.input + (kx - columns.kernel) * columns.step;
                let (start, run) = (self.input.place(y, x), (0, channels));
                if !self.rows_at_once::<LINKS>(start, (1, channels.div_ceil(4)), run, stride, target) {
                    self.run::<LINKS>(start, run, stride, target);
                }
            }
        }
    }

    /// Rows of which some codes are inside, those from index `start` on, and the rows above and below the input.
    fn clipped_rows<const LINKS: Links>(
        &self,
        rows: Span,
        start: usize,
        run: (usize, usize),
        stride: usize,
        target: &mut [u32],
    ) {
        let row_words = 2 * self.layout.quads * stride;
        let (above, rest) = split(target, rows.kernel * row_words);
        let (inside, below) = split(rest, rows.len * row_words);
        self.fill(stride, above);
        self.fill(stride, below);
        let row_len = self.layout.row_step / self.input.element().bytes();
        // Before the first row there may be no codes to be read in the place of padding.
        let alone = usize::from(start < run.0).min(rows.len);
        let (first, others) = split(inside, alone * row_words);
        let several = (rows.len - alone, self.layout.quads);
        let at_once = self.rows_at_once::<LINKS>(start + alone * row_len, several, run, stride, others);
        let one_by_one = if at_once { first } else { inside };
        for (row, target) in one_by_one.chunks_mut(row_words.max(1)).enumerate() {
            self.run::<LINKS>(start + row * row_len, run, stride, target);
        }
    }

    /// `count` rows of as many quads as [`Self::run`] has one, where the input has codes in the place of all padding: these are
    /// widened too, and written over. False where it has not.
    fn rows_at_once<const LINKS: Links>(
        &self,
        start: usize,
        (count, quads): (usize, usize),
        (before, inside): (usize, usize),
        stride: usize,
        target: &mut [u32],
    ) -> bool {
        let element = self.input.element();
        let Some(first) = start.checked_sub(before) else { return false };
        let bytes = self.input.bytes.get(first * element.bytes()..).unwrap_or_default();
        let rows = Rows { element, bytes, step: self.layout.row_step, count, quads };
        let is_there =
            if stride == 1 { widen::<LINKS, 1>(rows, target) } else { widen::<LINKS, CONV_COLUMNS>(rows, target) };
        if !is_there {
            return false;
        }
        self.blank((count, quads), (before, inside), stride, target);
        true
    }

    /// Writes over what is before and behind the `inside` codes of each of `count` rows.
    fn blank(
        &self,
        (count, quads): (usize, usize),
        (before, inside): (usize, usize),
        stride: usize,
        target: &mut [u32],
    ) {
        let half = |entry: usize| if entry.wrapping_sub(before) < inside { 0xffff } else { 0 };
        let zero = u32::from(self.layout.zero.cast_unsigned());
        // Words of the quads that are not all inside.
        let (left, right) = (2 * before.div_ceil(4), (before + inside) / 4 * 2);
        for index in (0..left).chain(right..2 * quads) {
            let entry = index / 2 * 4 + index % 2;
            let kept = half(entry) | half(entry + 2) << 16;
            if kept == u32::MAX {
                continue;
            }
            for word in target.iter_mut().skip(index * stride).step_by((2 * quads * stride).max(1)).take(count) {
                *word = *word & kept | (zero | zero << 16) & !kept;
            }
        }
    }

    /// `inside` codes from index `start` on, behind `before` zeros and before more of them.
    #[inline(never)]
    fn run<const LINKS: Links>(
        &self,
        start: usize,
        (before, inside): (usize, usize),
        stride: usize,
        target: &mut [u32],
    ) {
        for (index, word) in target.iter_mut().step_by(stride.max(1)).enumerate() {
            let code = |entry: usize| {
                let index = entry.wrapping_sub(before);
                let code = if index < inside {
                    self.input.linked_code::<LINKS>(start + index)
                } else {
                    self.layout.zero.into()
                };
                code.cast_unsigned() & 0xffff
            };
            let entry = index / 2 * 4 + index % 2;
            *word = code(entry) | code(entry + 2) << 16;
        }
    }

    fn fill(&self, stride: usize, target: &mut [u32]) {
        let zero = u32::from(self.layout.zero.cast_unsigned());
        for word in target.iter_mut().step_by(stride.max(1)) {
            *word = zero | zero << 16;
        }
    }
}

/// Windows of pixels side by side are those of a band.
pub fn shares_columns(window: &Window, channels: u16, input: Element) -> bool {
    (usize::from(window.kernel_w), window.stride_w, window.dilation_w) == (BAND_COLUMNS, 1, 1)
        && input != Element::I16
        && channels.is_multiple_of(4)
}

/// So many words, and those behind them.
fn split(target: &mut [u32], words: usize) -> (&mut [u32], &mut [u32]) {
    let at = words.min(target.len());
    target.split_at_mut(at)
}

/// The aligned words of scratch: as many as `count`, or none.
pub(super) fn words(scratch: &mut [u8], count: usize) -> &mut [u32] {
    let (_, words, _) = bytemuck::pod_align_to_mut::<u8, u32>(scratch);
    words.get_mut(..count).unwrap_or_default()
}

/// Widens a whole tensor into one column; zeros behind it.
pub(super) fn flat<const LINKS: Links>(input: Codes<'_>, target: &mut [u32]) {
    let (element, bytes) = (input.element(), input.bytes());
    let quads = input.len() / 4;
    let _ = widen::<LINKS, 1>(Rows { element, bytes, step: 0, count: 1, quads }, target);
    let code =
        |entry: usize| input.get_linked::<LINKS>(4 * quads + entry).map_or(0, |code| u32::from(code.cast_unsigned()));
    for (entry, word) in target.iter_mut().skip(2 * quads).take(2).enumerate() {
        *word = code(entry) | code(entry + 2) << 16;
    }
}
