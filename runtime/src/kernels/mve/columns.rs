//! Columns: the inputs under a window as bytes with a sign, in the order of the weights.

use core::ops::Range;

use super::instructions::{Runs, fill};
use crate::format::{Blocks, Element, Window};
use crate::kernels::window::Span;
use crate::kernels::{View, ViewMut};

/// Where the inputs of a convolution lie, and which pixel of the output is next.
#[derive(Debug)]
pub(super) struct Gather<'a> {
    input: View<'a>,
    window: Window,
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

impl<'a> Gather<'a> {
    /// Begins with the first pixel of the output.
    ///
    /// zero  code of the input that means 0: what padding reads as
    pub(super) fn new(input: View<'a>, window: Window, order: Blocks, zero: i16, output: &ViewMut<'_>) -> Self {
        let [zero, _] = zero.to_le_bytes();
        let element = input.element();
        let unsigned = element == Element::U8;
        let channels = usize::from(input.shape.c);
        let run_len = usize::from(window.kernel_w) * channels;
        let out_w = usize::from(output.shape.w);
        let is_direct = order.is_direct(&window, element);
        let is_dense = window.stride_w == 1 && window.stride_h == 1;
        let mut gather = Self {
            input,
            window,
            out_w: if is_direct && is_dense { usize::MAX } else { out_w },
            inner: inner_columns(&window, input.shape.w.into(), out_w),
            zero: if unsigned { zero ^ 0x80 } else { zero },
            channel_len: order.channel_len(),
            is_direct,
            oy: output.first_row.into(),
            ox: 0,
            rows: Span::rows(&window, input.shape, output.first_row.into()),
            runs: Runs {
                len: run_len,
                pixel_step: usize::from(window.stride_w) * channels,
                target_step: run_len,
                target_pixel_step: order.channel_len(),
                unsigned,
                ..Runs::default()
            },
            place: 0,
        };
        gather.enter_row();
        gather
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
    /// scratch  room for them
    #[inline]
    pub(super) fn next<'s, const PIXELS: usize>(&mut self, scratch: &'s mut [u8]) -> &'s [u8]
    where
        'a: 's,
    {
        if self.is_direct {
            let start = self.place;
            self.advance(PIXELS);
            return self.input.codes.bytes().get(start..).unwrap_or_default();
        }
        if self.inner.start <= self.ox && self.ox + PIXELS <= self.inner.end {
            self.side_by_side::<PIXELS>(scratch);
        } else {
            self.one_by_one::<PIXELS>(scratch);
        }
        scratch
    }

    #[inline]
    fn advance(&mut self, pixels: usize) {
        self.ox += pixels;
        self.place += pixels * self.runs.pixel_step;
        if self.ox >= self.out_w {
            self.oy += 1;
            self.enter_row();
        }
    }

    /// Before the first pixel of row `oy`.
    #[inline(never)]
    fn enter_row(&mut self) {
        self.ox = 0;
        self.rows = Span::rows(&self.window, self.input.shape, self.oy);
        self.runs.count = self.rows.len;
        self.runs.step = self.rows.step * self.input.row_len();
        self.place = self.input.place(self.rows.input, 0);
    }

    /// Pixels of one row of the output whose windows reach over neither side.
    #[inline]
    fn side_by_side<const PIXELS: usize>(&mut self, scratch: &mut [u8]) {
        let start = self.place.wrapping_sub(usize::from(self.window.pad_left) * usize::from(self.input.shape.c));
        let source = self.input.codes.bytes().get(start..).unwrap_or_default();
        if self.rows.len == usize::from(self.window.kernel_h) {
            self.runs.copy::<PIXELS>(source, scratch);
        } else {
            fill(scratch.get_mut(..PIXELS * self.channel_len).unwrap_or_default(), self.zero);
            let first = self.rows.kernel * self.runs.target_step;
            self.runs.copy::<PIXELS>(source, scratch.get_mut(first..).unwrap_or_default());
        }
        self.advance(PIXELS);
    }

    /// Pixels of which some are at a side, or of more than one row.
    #[inline(never)]
    fn one_by_one<const PIXELS: usize>(&mut self, scratch: &mut [u8]) {
        let mut rest = scratch;
        for _ in 0..PIXELS {
            let Some((column, behind)) = rest.split_at_mut_checked(self.channel_len) else { return };
            if self.inner.contains(&self.ox) {
                self.side_by_side::<1>(column);
            } else {
                self.at_a_side(column);
                self.advance(1);
            }
            rest = behind;
        }
    }

    /// The inputs of one pixel, over whichever edge its window reaches.
    #[inline(never)]
    fn at_a_side(&self, target: &mut [u8]) {
        let columns = Span::columns(&self.window, self.input.shape, self.ox);
        let channels = usize::from(self.input.shape.c);
        fill(target, self.zero);
        let start = self.rows.kernel * self.runs.target_step + columns.kernel * channels;
        let Some(target) = target.get_mut(start..) else { return };
        // Columns side by side are one run of each row.
        let (count, len) = if columns.step == 1 { (1, columns.len * channels) } else { (columns.len, channels) };
        let runs = Runs { len, ..self.runs };
        for run in 0..count {
            let place = self.input.place(self.rows.input, columns.input + run * columns.step);
            let source = self.input.codes.bytes().get(place..).unwrap_or_default();
            runs.copy::<1>(source, target.get_mut(run * channels..).unwrap_or_default());
        }
    }
}

/// Columns of the output whose windows reach over neither side of an input of `in_w` columns; none of a window that is dilated.
fn inner_columns(window: &Window, in_w: usize, out_w: usize) -> Range<usize> {
    let (stride, pad) = (usize::from(window.stride_w).max(1), usize::from(window.pad_left));
    let inside = (in_w + pad).checked_sub(window.kernel_w.into()).filter(|_| window.dilation_w == 1);
    pad.div_ceil(stride)..inside.map_or(0, |last| (last / stride + 1).min(out_w))
}
