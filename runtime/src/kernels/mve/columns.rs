//! Columns: the inputs under a window as bytes with a sign, in the order of the weights.

use core::ops::Range;

use super::instructions::{Runs, fill};
use crate::format::{ALL_LINKS, Blocks, Element, Shape, TensorRecord, Window};
use crate::kernels::View;
use crate::kernels::window::Span;

/// Where the inputs of a convolution lie, and which pixel of the output is next.
#[derive(Debug)]
pub(super) struct Gather<'w> {
    window: &'w Window,
    /// Extent of the input.
    shape: Shape,
    /// Pixels behind which another row of the input begins: the columns of the output, unless inputs lie without gaps.
    out_w: usize,
    /// Those whose windows reach over neither side of the input.
    inner: Range<usize>,
    /// What padding reads as, with a sign.
    zero: u8,
    channel_len: usize,
    is_direct: bool,
    oy: usize,
    ox: usize,
    rows: Span,
    /// The rows of the kernel that are inside.
    runs: Runs,
    /// Index of the input under the first of them, were there no padding to the left.
    place: usize,
}

impl<'w> Gather<'w> {
    /// For an input and an output; [`Self::begin`] comes before the first pixel.
    ///
    /// zero  code of the input that means 0: what padding reads as
    pub(super) fn new(
        input: &TensorRecord,
        window: &'w Window,
        order: Blocks,
        zero: i16,
        output: &TensorRecord,
    ) -> Self {
        let [zero, _] = zero.to_le_bytes();
        let unsigned = input.element == Element::U8;
        let channels = usize::from(input.shape.c);
        let run_len = usize::from(window.kernel_w) * channels;
        let out_w = usize::from(output.shape.w);
        let is_direct = order.is_direct(window, input.element);
        let is_dense = window.stride_w == 1 && window.stride_h == 1;
        Self {
            window,
            shape: input.shape,
            out_w: if is_direct && is_dense { usize::MAX } else { out_w },
            inner: inner_columns(window, input.shape.w.into(), out_w),
            zero: if unsigned { zero ^ 0x80 } else { zero },
            channel_len: order.channel_len(),
            is_direct,
            oy: 0,
            ox: 0,
            rows: Span::default(),
            runs: Runs {
                pixel_step: usize::from(window.stride_w) * channels,
                target_step: run_len,
                target_pixel_step: order.channel_len(),
                unsigned,
                ..Runs::default()
            },
            place: 0,
        }
    }

    /// Goes on with the first pixel of a row of the output.
    pub(super) fn begin(&mut self, row: usize) {
        // Behind the row before: the first pixel enters its own.
        (self.oy, self.ox) = (row.wrapping_sub(1), usize::MAX);
    }

    /// Bytes from the column of one pixel to that of the next.
    pub(super) const fn column_step(&self) -> usize {
        if self.is_direct { self.runs.pixel_step } else { self.channel_len }
    }

    /// True where the pixels of two rows may be next to each other: their columns lie at that distance too.
    pub(super) const fn is_linear(&self) -> bool {
        !self.is_direct || self.out_w == usize::MAX
    }

    /// The columns of the next `PIXELS` pixels, at their distance.
    ///
    /// input    from the first row on that the row reads
    /// scratch  room for them
    #[inline]
    pub(super) fn next<'s, const PIXELS: usize>(&mut self, input: &View<'s>, scratch: &'s mut [u8]) -> &'s [u8] {
        self.find_row(input);
        if self.is_direct {
            let start = self.place;
            self.advance(PIXELS);
            return input.bytes.get(start..).unwrap_or_default();
        }
        if self.inner.start <= self.ox && self.ox + PIXELS <= self.inner.end {
            self.side_by_side::<PIXELS>(input, scratch);
        } else {
            self.one_by_one::<PIXELS>(input, scratch);
        }
        scratch
    }

    #[inline]
    fn advance(&mut self, pixels: usize) {
        self.ox += pixels;
        self.place += pixels * self.runs.pixel_step;
    }

    #[inline]
    fn find_row(&mut self, input: &View<'_>) {
        if self.ox >= self.out_w {
            self.enter_row(input);
        }
    }

    #[inline(never)]
    fn enter_row(&mut self, input: &View<'_>) {
        (self.ox, self.oy) = (0, self.oy.wrapping_add(1));
        self.rows = Span::rows::<ALL_LINKS>(self.window, self.shape, self.oy);
        self.runs.count = self.rows.len;
        self.runs.step = self.rows.step * input.row_len();
        self.place = input.place(self.rows.input, 0);
    }

    /// Pixels of one row of the output whose windows reach over neither side; how many.
    #[inline]
    fn side_by_side<const PIXELS: usize>(&mut self, input: &View<'_>, scratch: &mut [u8]) -> usize {
        let start = self.place.wrapping_sub(usize::from(self.window.pad_left) * usize::from(self.shape.c));
        let source = input.bytes.get(start..).unwrap_or_default();
        let len = self.runs.target_step;
        if self.rows.len == usize::from(self.window.kernel_h) {
            self.runs.copy::<PIXELS>(len, source, scratch);
        } else {
            fill(scratch.get_mut(..PIXELS * self.channel_len).unwrap_or_default(), self.zero);
            self.runs.copy::<PIXELS>(len, source, scratch.get_mut(self.rows.kernel * len..).unwrap_or_default());
        }
        self.advance(PIXELS);
        PIXELS
    }

    /// Pixels of which some are at a side, or of more than one row.
    #[inline(never)]
    fn one_by_one<const PIXELS: usize>(&mut self, input: &View<'_>, scratch: &mut [u8]) {
        let mut pixel = 0;
        while pixel < PIXELS {
            self.find_row(input);
            let Some(columns) = scratch.get_mut(pixel * self.channel_len..) else { return };
            let inner = if self.inner.start <= self.ox { self.inner.end.saturating_sub(self.ox) } else { 0 };
            pixel += match inner.min(PIXELS - pixel) {
                0 => self.at_a_side(input, columns),
                1 => self.side_by_side::<1>(input, columns),
                _ => self.side_by_side::<2>(input, columns),
            };
        }
    }

    /// One pixel, over whichever edge its window reaches.
    #[inline(never)]
    fn at_a_side(&mut self, input: &View<'_>, target: &mut [u8]) -> usize {
        fill(target.get_mut(..self.channel_len).unwrap_or_default(), self.zero);
        let columns = Span::columns::<ALL_LINKS>(self.window, self.shape, self.ox);
        let channels = usize::from(self.shape.c);
        let start = self.rows.kernel * self.runs.target_step + columns.kernel * channels;
        // Columns side by side are one run of each row.
        let (count, len) = if columns.step == 1 { (1, columns.len * channels) } else { (columns.len, channels) };
        let row = input.place(self.rows.input, columns.input);
        for run in 0..count {
            let source = input.bytes.get(row + run * columns.step * channels..).unwrap_or_default();
            self.runs.copy::<1>(len, source, target.get_mut(start + run * channels..).unwrap_or_default());
        }
        self.advance(1);
        1
    }
}

/// Columns of the output whose windows reach over neither side of an input of `in_w` columns; none of a window that is dilated.
pub(super) fn inner_columns(window: &Window, in_w: usize, out_w: usize) -> Range<usize> {
    let (stride, pad) = (usize::from(window.stride_w).max(1), usize::from(window.pad_left));
    let inside = (in_w + pad).checked_sub(window.kernel_w.into()).filter(|_| window.dilation_w == 1);
    pad.div_ceil(stride)..inside.map_or(0, |last| (last / stride + 1).min(out_w))
}
