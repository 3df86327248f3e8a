//! The column of two pixels: the inputs under their windows, one pixel in each half of every word.

use core::ops::Range;

use super::instructions::{Rows, flip_and_sum, spread};
use super::tile::PIXELS;
use crate::format::{ALL_LINKS, Window};
use crate::kernels::View;
use crate::kernels::window::Span;

/// Where the inputs of a convolution lie, and those of the output row that is written.
#[derive(Debug, Clone)]
pub(super) struct Gather<'a> {
    input: View<'a>,
    window: Window,
    /// Code of the input that means 0: what padding reads as.
    zero: i16,
    /// What brings a code's byte to one that is not negative.
    flip: u8,
    /// Output columns whose windows lie inside the input's columns and are dense.
    inside: Range<usize>,
    /// Codes from one window to the next.
    step: usize,
    /// The rows of the input.
    rows: Span,
    /// Index of the first code under the window of column 0, as if the input went on to its left.
    start: usize,
    /// From a row of the window to the next one in the input.
    row_step: usize,
}

impl<'a> Gather<'a> {
    /// For an output of so many columns.
    pub(super) fn new(input: View<'a>, window: Window, zero: i16, flip: u8, columns: usize) -> Self {
        let [stride, pad, kernel] = [window.stride_w, window.pad_left, window.kernel_w].map(usize::from);
        let in_w = usize::from(input.shape.w);
        let mut inside = 0..if window.dilation_w == 1 { columns } else { 0 };
        while inside.start * stride < pad && !inside.is_empty() {
            inside.start += 1;
        }
        while !inside.is_empty() && (inside.end - 1) * stride + kernel > in_w + pad {
            inside.end -= 1;
        }
        let step = stride * usize::from(input.shape.c);
        Self {
            input,
            window,
            zero,
            flip,
            inside,
            step,
            rows: Span::rows::<ALL_LINKS>(&window, input.shape, 0),
            start: 0,
            row_step: 0,
        }
    }

    /// Goes to an output row.
    pub(super) fn row(&mut self, oy: usize) {
        self.rows = Span::rows::<ALL_LINKS>(&self.window, self.input.shape, oy);
        let before = usize::from(self.window.pad_left) * self.channels();
        self.start = self.input.place(self.rows.input, 0).wrapping_sub(before);
        self.row_step = self.rows.step * self.input.row_len();
    }

    /// Puts the inputs of the output pixel in column `ox` into one half of the words.
    #[inline]
    pub(super) fn pixel(&self, ox: usize, half: usize, words: &mut [u32]) {
        let inside = self.inside.contains(&ox) && self.rows.len == usize::from(self.window.kernel_h);
        if !(inside && self.whole(ox, half, words)) {
            self.clipped(ox, half, words);
        }
    }

    /// Flips the inputs of both pixels, and adds them up; of an odd number, the word behind them is 0.
    #[inline]
    pub(super) fn complete(&self, inputs: usize, words: &mut [u32]) -> [i32; PIXELS] {
        if let Some(padding) = words.get_mut(inputs) {
            *padding = u32::from(self.flip) << 16 | u32::from(self.flip);
        }
        flip_and_sum(words, self.flip)
    }

    /// All rows of a window that lies inside the input.
    #[inline]
    fn whole(&self, ox: usize, half: usize, words: &mut [u32]) -> bool {
        let start = self.start.wrapping_add(ox.wrapping_mul(self.step));
        let bytes = self.input.bytes.get(start..).unwrap_or_default();
        let len = usize::from(self.window.kernel_w) * self.channels();
        spread(Rows { bytes, step: self.row_step, count: self.rows.len, len }, half, words)
    }

    /// A window that reaches over the input's edge, or whose columns are dilated: run by run.
    #[inline(never)]
    fn clipped(&self, ox: usize, half: usize, words: &mut [u32]) {
        let rows = self.rows;
        let columns = Span::columns::<ALL_LINKS>(&self.window, self.input.shape, ox);
        let (channels, dense) = (self.channels(), self.window.dilation_w == 1);
        let kernel_w = usize::from(self.window.kernel_w);
        let (runs, run_len) = if dense { (1, kernel_w * channels) } else { (kernel_w, channels) };
        let mut rest = words;
        for ky in 0..usize::from(self.window.kernel_h) {
            for kx in 0..runs {
                let target;
                (target, rest) = rest.split_at_mut(run_len.min(rest.len()));
                let y = rows.input + ky.saturating_sub(rows.kernel) * rows.step;
                if !rows.covers(ky) || !dense && !columns.covers(kx) {
                    self.fill(half, target);
                } else if dense {
                    let before = columns.kernel * channels;
                    self.run(y, columns.input, (before, columns.len * channels), half, target);
                } else {
                    let x = columns.input + kx.saturating_sub(columns.kernel) * columns.step;
                    self.run(y, x, (0, channels), half, target);
                }
            }
        }
    }

    /// `inside` inputs behind `before` zeros and before more of them.
    fn run(&self, y: usize, x: usize, (before, inside): (usize, usize), half: usize, target: &mut [u32]) {
        let bytes = self.input.bytes.get(self.input.place(y, x)..).unwrap_or_default();
        let (first, rest) = target.split_at_mut(before.min(target.len()));
        let (middle, last) = rest.split_at_mut(inside.min(rest.len()));
        self.fill(half, first);
        let _ = spread(Rows { bytes, step: 0, count: 1, len: middle.len() }, half, middle);
        self.fill(half, last);
    }

    fn fill(&self, half: usize, words: &mut [u32]) {
        let [byte, ..] = self.zero.to_le_bytes();
        let (kept, value) = if half == 0 { (0xffff_0000, byte.into()) } else { (0xffff, u32::from(byte) << 16) };
        for word in words {
            *word = *word & kept | value;
        }
    }

    fn channels(&self) -> usize {
        self.input.shape.c.into()
    }
}
