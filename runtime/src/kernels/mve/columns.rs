//! Columns: the inputs under a window as bytes with a sign, in the order of the weights.

use core::array;

use super::instructions::{Rows, copy, fill};
use crate::format::{Blocks, Element, Window};
use crate::kernels::View;
use crate::kernels::window::Span;

/// Where the inputs of a convolution lie, and which pixel of the output is next.
#[derive(Debug)]
pub(super) struct Gather<'a> {
    input: View<'a>,
    window: Window,
    /// Columns of the output.
    out_w: usize,
    /// What padding reads as, with a sign.
    zero: u8,
    channel_len: usize,
    /// Codes of a row of the kernel.
    run_len: usize,
    is_direct: bool,
    oy: usize,
    ox: usize,
    rows: Span,
}

impl<'a> Gather<'a> {
    /// Begins with the first pixel of row `first_row` of the output, which has `out_w` columns.
    ///
    /// zero  code of the input that means 0: what padding reads as
    pub(super) fn new(
        input: View<'a>,
        window: Window,
        order: Blocks,
        zero: i16,
        (first_row, out_w): (usize, usize),
    ) -> Self {
        let [zero, _] = zero.to_le_bytes();
        let element = input.element();
        Self {
            input,
            window,
            out_w,
            zero: if element == Element::U8 { zero ^ 0x80 } else { zero },
            channel_len: order.channel_len(),
            run_len: usize::from(window.kernel_w) * usize::from(input.shape.c),
            is_direct: order.is_direct(&window, element),
            oy: first_row,
            ox: 0,
            rows: Span::rows(&window, input.shape, first_row),
        }
    }

    /// The columns of the next `PIXELS` pixels.
    ///
    /// scratch  room for them
    #[inline]
    pub(super) fn next<'s, const PIXELS: usize>(&mut self, scratch: &'s mut [u8]) -> [&'s [u8]; PIXELS]
    where
        'a: 's,
    {
        if self.is_direct {
            return array::from_fn(|_| self.direct());
        }
        if !self.side_by_side::<PIXELS>(scratch) {
            for pixel in 0..PIXELS {
                let target = scratch.get_mut(pixel * self.channel_len..).unwrap_or_default();
                self.column(target);
                self.advance();
            }
        }
        let scratch = &*scratch;
        array::from_fn(|pixel| scratch.get(pixel * self.channel_len..).unwrap_or_default())
    }

    /// The inputs of the next pixel where they lie.
    fn direct(&mut self) -> &'a [u8] {
        let start = self.input.place(self.rows.input, self.ox * usize::from(self.window.stride_w));
        self.advance();
        self.input.codes.bytes().get(start..).unwrap_or_default()
    }

    fn advance(&mut self) {
        self.ox += 1;
        if self.ox >= self.out_w {
            (self.ox, self.oy) = (0, self.oy + 1);
            self.rows = Span::rows(&self.window, self.input.shape, self.oy);
        }
    }

    /// Pixels of one row of the output whose windows lie inside the input. False where they do not.
    #[inline]
    fn side_by_side<const PIXELS: usize>(&mut self, scratch: &mut [u8]) -> bool {
        let stride = usize::from(self.window.stride_w);
        let (first, pad) = (self.ox * stride, usize::from(self.window.pad_left));
        let end = first + (PIXELS - 1) * stride + usize::from(self.window.kernel_w);
        let inside = self.window.dilation_w == 1
            && self.rows.len == usize::from(self.window.kernel_h)
            && first >= pad
            && end <= usize::from(self.input.shape.w) + pad
            && self.ox + PIXELS <= self.out_w;
        if !inside {
            return false;
        }
        let rows = self.source(self.rows, first - pad, self.run_len);
        let copied = copy::<PIXELS>(rows, scratch, self.run_len, self.channel_len);
        self.ox += PIXELS - 1;
        self.advance();
        copied
    }

    /// `len` codes of each row from column `x` on.
    #[inline]
    fn source(&self, rows: Span, x: usize, len: usize) -> Rows<'a> {
        Rows {
            bytes: self.input.codes.bytes().get(self.input.place(rows.input, x)..).unwrap_or_default(),
            len,
            count: rows.len,
            step: rows.step * self.input.row_len(),
            pixel_step: usize::from(self.window.stride_w) * usize::from(self.input.shape.c),
            unsigned: self.input.element() == Element::U8,
        }
    }

    /// The inputs of one pixel, over whichever edge its window reaches.
    #[inline(never)]
    fn column(&self, target: &mut [u8]) {
        let columns = Span::columns(&self.window, self.input.shape, self.ox);
        let channels = usize::from(self.input.shape.c);
        if self.rows.len < usize::from(self.window.kernel_h) || columns.len < usize::from(self.window.kernel_w) {
            fill(target.get_mut(..self.channel_len).unwrap_or_default(), self.zero);
        }
        let start = self.rows.kernel * self.run_len + columns.kernel * channels;
        let Some(target) = target.get_mut(start..) else { return };
        // Columns side by side are one run of each row.
        let (runs, len) = if columns.step == 1 { (1, columns.len * channels) } else { (columns.len, channels) };
        for run in 0..runs {
            let rows = self.source(self.rows, columns.input + run * columns.step, len);
            let _ = copy::<1>(rows, target.get_mut(run * channels..).unwrap_or_default(), self.run_len, 0);
        }
    }
}
