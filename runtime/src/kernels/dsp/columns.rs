//! Columns: the inputs under a window, widened to 16 bits, a pixel beside the next.

use super::CONV_COLUMNS;
use super::instructions::{PaddedRun, Windows, widen_run, widen_windows};
use crate::codes::Codes;
use crate::format::{Case, Links, TensorRecord, Window};
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
    /// Bytes from one row of the kernel to the next, and from the window of a pixel to that of its neighbor.
    row_step: usize,
    pixel_step: usize,
    /// Bytes of the padding on the left.
    left: usize,
    /// Output columns whose windows lie inside the input.
    inside_from: usize,
    inside_to: usize,
}

impl<'a> Layout<'a> {
    #[inline]
    pub(super) fn new((input, output): (&TensorRecord, &TensorRecord), window: &'a Window, zero: i16) -> Self {
        let (shape, element) = (input.shape, input.element);
        let (kernel_w, pad_left) = (usize::from(window.kernel_w), usize::from(window.pad_left));
        let stride_w = usize::from(window.stride_w).max(1);
        let pixel_bytes = usize::from(shape.c) * element.bytes();
        let room = (usize::from(shape.w) + pad_left).checked_sub(kernel_w);
        Self {
            window,
            zero,
            quads: (kernel_w * usize::from(shape.c)).div_ceil(4),
            row_step: usize::from(window.dilation_h) * usize::from(shape.w) * pixel_bytes,
            pixel_step: stride_w * pixel_bytes,
            left: pad_left * pixel_bytes,
            inside_from: pad_left.div_ceil(stride_w),
            inside_to: room.map_or(0, |room| (room / stride_w + 1).min(output.shape.w.into())),
        }
    }

    /// The windows of a column of the output lie inside the input.
    #[inline]
    const fn is_inside(&self, ox: usize) -> bool {
        ox >= self.inside_from && ox < self.inside_to
    }

    /// A row of the kernel has gaps, so that it is gathered column by column.
    #[inline]
    const fn has_gaps<const LINKS: Links>(&self) -> bool {
        Case::Dilation.is_in(LINKS) && self.window.dilation_w != 1
    }
}

/// Where the inputs of a convolution lie.
#[derive(Debug, Clone, Copy)]
pub(super) struct Gather<'a> {
    pub(super) input: View<'a>,
    pub(super) layout: &'a Layout<'a>,
}

/// An output row: the rows of the kernel that are inside the input.
#[derive(Debug, Clone, Copy)]
pub(super) struct OutputRow {
    /// The first of them, and how many.
    kernel: usize,
    len: usize,
    /// Byte of the input where the first one's input row begins.
    start: usize,
}

/// A pixel of the output.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Pixel {
    pub(super) oy: usize,
    pub(super) ox: usize,
}

/// The pixels of a tile, one behind the other.
#[derive(Debug)]
pub(super) struct TilePixels {
    /// The first one, and its row.
    pub(super) first: Pixel,
    pub(super) row: OutputRow,
    /// [`Gather::window_start`] of each; [`usize::MAX`] where another row has not [the same rows of the kernel](OutputRow::is_like).
    pub(super) starts: [usize; CONV_COLUMNS],
    /// Columns of the output.
    pub(super) w: usize,
}

impl TilePixels {
    /// The pixel behind another one. It is in the same row where no tile reaches over the end of one.
    #[inline]
    const fn next<const LINKS: Links>(&self, Pixel { oy, ox }: Pixel) -> Pixel {
        if Case::Remainder.is_in(LINKS) && ox + 1 == self.w {
            Pixel { oy: oy + 1, ox: 0 }
        } else {
            Pixel { oy, ox: ox + 1 }
        }
    }
}

impl OutputRow {
    /// Of two rows the same rows of the kernel are inside.
    #[inline]
    pub(super) fn is_like(&self, other: &Self) -> bool {
        (self.kernel, self.len) == (other.kernel, other.len)
    }
}

impl Gather<'_> {
    /// What the pixels of an output row share.
    pub(super) fn output_row<const LINKS: Links>(&self, oy: usize) -> OutputRow {
        let rows = Span::rows::<LINKS>(self.layout.window, self.input.shape, oy);
        let start = self.input.place(rows.input, 0) * self.input.element().bytes();
        OutputRow { kernel: rows.kernel, len: rows.len, start }
    }

    /// Byte of the input where a pixel's window begins, as if the input went on where it reaches over the end of a row; a great number where
    /// that is before its first byte.
    #[inline]
    pub(super) const fn window_start(&self, row: &OutputRow, ox: usize) -> usize {
        (row.start + ox * self.layout.pixel_step).wrapping_sub(self.layout.left)
    }

    /// Fills the columns of four pixels: all their windows at once, as if the input went on where they reach over the end of a row, then
    /// what is padding, and the pixels of which that cannot be.
    ///
    /// target  the words of the four columns
    #[inline(never)]
    pub(super) fn tile<const LINKS: Links>(&self, pixels: &TilePixels, target: &mut [u32]) {
        let layout = self.layout;
        let TilePixels { first, row, starts, .. } = pixels;
        let row_words = 2 * layout.quads * CONV_COLUMNS;
        let last = if layout.has_gaps::<LINKS>() { None } else { self.windows::<LINKS>(pixels, row_words, target) };
        let is_there = |start: usize| last.is_some_and(|last| start <= last);
        let [.., last_start] = *starts;
        if layout.is_inside(first.ox) && layout.is_inside(first.ox + CONV_COLUMNS - 1) && is_there(last_start) {
            return;
        }
        let mut pixel = *first;
        for (at, start) in starts.iter().enumerate() {
            let is_inside = layout.is_inside(pixel.ox);
            // Where tiles end as rows do, few pixels are at an edge.
            if !is_there(*start) || !Case::Remainder.is_in(LINKS) && !is_inside {
                self.column::<LINKS>(pixel, CONV_COLUMNS, target.get_mut(at..).unwrap_or_default());
            } else if !is_inside {
                let inside = target.get_mut(row.kernel * row_words + at..).unwrap_or_default();
                self.blank::<LINKS>(pixel.ox, row.len, inside);
            }
            pixel = pixels.next::<LINKS>(pixel);
        }
    }

    /// Fills the rows of four pixels' windows that are inside the input, as [`widen_windows`] does, and those that are padding.
    #[inline]
    fn windows<const LINKS: Links>(&self, pixels: &TilePixels, row_words: usize, target: &mut [u32]) -> Option<usize> {
        let (layout, row) = (self.layout, &pixels.row);
        let (above, rest) = split(target, row.kernel * row_words);
        let (inside, below) = split(rest, row.len * row_words);
        self.fill(above);
        self.fill(below);
        let windows = Windows {
            element: self.input.element(),
            bytes: self.input.bytes,
            starts: &pixels.starts,
            step: layout.row_step,
            rows: row.len,
            quads: layout.quads,
        };
        widen_windows::<LINKS>(windows, inside)
    }

    /// Writes over what is padding of some rows of a pixel's window.
    ///
    /// target  every [`CONV_COLUMNS`]th word, from the first row on
    #[inline(never)]
    fn blank<const LINKS: Links>(&self, ox: usize, rows: usize, target: &mut [u32]) {
        let columns = Span::columns::<LINKS>(self.layout.window, self.input.shape, ox);
        let channels = usize::from(self.input.shape.c);
        let (before, inside) = (columns.kernel * channels, columns.len * channels);
        let half = |entry: usize| if entry.wrapping_sub(before) < inside { 0xffff } else { 0 };
        // Words of the quads that are not all inside.
        let words = 2 * self.layout.quads;
        let (left, right) = (2 * before.div_ceil(4), (before + inside) / 4 * 2);
        let mut index = if left == 0 { right } else { 0 };
        while index < words {
            let entry = index / 2 * 4 + index % 2;
            let kept = half(entry) | half(entry + 2) << 16;
            let zeros = self.zeros() & !kept;
            let mut place = index * CONV_COLUMNS;
            for _ in 0..rows {
                if let Some(word) = target.get_mut(place) {
                    *word = *word & kept | zeros;
                }
                place += words * CONV_COLUMNS;
            }
            index += 1;
            if index == left {
                index = right.max(left);
            }
        }
    }

    /// Fills the column of a pixel, run by run; `target` begins at its first word.
    ///
    /// target  every `stride`-th word, two for each four inputs of a run
    #[inline(never)]
    pub(super) fn column<const LINKS: Links>(&self, pixel: Pixel, stride: usize, target: &mut [u32]) {
        let Window { kernel_h, kernel_w, .. } = *self.layout.window;
        let rows = self.output_row::<LINKS>(pixel.oy);
        let columns = Span::columns::<LINKS>(self.layout.window, self.input.shape, pixel.ox);
        let element = self.input.element();
        let (channels, code_bytes) = (usize::from(self.input.shape.c), element.linked_bytes::<LINKS>());
        let has_gaps = self.layout.has_gaps::<LINKS>();
        // Runs of a row of the kernel, and their quads.
        let (runs, quads) = if has_gaps { (kernel_w.into(), channels.div_ceil(4)) } else { (1, self.layout.quads) };
        let mut targets = target.chunks_mut((2 * quads * stride).max(1));
        for ky in 0..usize::from(kernel_h) {
            let row = ky.wrapping_sub(rows.kernel);
            let start = rows.start.wrapping_add(row.wrapping_mul(self.layout.row_step));
            for kx in 0_usize..runs {
                let Some(target) = targets.next() else { return };
                let (column, before, inside) = if has_gaps {
                    let column = kx.wrapping_sub(columns.kernel).wrapping_mul(columns.step);
                    (columns.input.wrapping_add(column), 0, columns.covers(kx).into())
                } else {
                    (columns.input, columns.kernel, columns.len)
                };
                let start = start.wrapping_add(column.wrapping_mul(channels * code_bytes));
                let len = if row < rows.len { inside * channels * code_bytes } else { 0 };
                let bytes = self.input.bytes.get(start..).and_then(|bytes| bytes.get(..len)).unwrap_or_default();
                let run =
                    PaddedRun { codes: Codes::new(element, bytes), before: before * channels, zero: self.layout.zero };
                widen_run::<LINKS>(&run, stride, target);
            }
        }
    }

    fn fill(&self, target: &mut [u32]) {
        target.fill(self.zeros());
    }

    /// Two codes that mean 0.
    #[inline]
    fn zeros(&self) -> u32 {
        let zero = u32::from(self.layout.zero.cast_unsigned());
        zero | zero << 16
    }
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
