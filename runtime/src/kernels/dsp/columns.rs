//! Columns: the inputs under a window, widened to 16 bits, a pixel beside the next.

use super::CONV_COLUMNS;
use super::instructions::{Rows, widen};
use crate::format::Window;
use crate::kernels::View;
use crate::kernels::window::Span;

/// Where the inputs of a convolution lie, and how they fall into quads.
#[derive(Debug, Clone, Copy)]
pub(super) struct Gather<'a> {
    pub(super) input: View<'a>,
    pub(super) window: Window,
    /// Code of the input that means 0: what padding reads as.
    pub(super) zero: i16,
}

impl Gather<'_> {
    /// Fills the column of the output pixel at `oy`, `ox`; `target` begins at its first word.
    ///
    /// target  every [`CONV_COLUMNS`]-th word, two for each four inputs of a run
    #[inline]
    pub(super) fn column(&self, oy: usize, ox: usize, target: &mut [u32]) {
        let rows = Span::rows(&self.window, self.input.shape, oy);
        let columns = Span::columns(&self.window, self.input.shape, ox);
        let (kernel_h, kernel_w) = (usize::from(self.window.kernel_h), usize::from(self.window.kernel_w));
        let inside = rows.len == kernel_h && columns.len == kernel_w && self.window.dilation_w == 1;
        if !(inside && self.rows(rows, columns, target)) {
            self.clipped(rows, columns, target);
        }
    }

    /// All rows of a window that lies inside the input.
    fn rows(&self, rows: Span, columns: Span, target: &mut [u32]) -> bool {
        let element = self.input.element();
        let start = self.input.place(rows.input, columns.input) * element.bytes();
        let rows = Rows {
            element,
            bytes: self.input.codes.bytes().get(start..).unwrap_or_default(),
            step: rows.step * self.input.row_len() * element.bytes(),
            count: rows.len,
            quads: (columns.len * self.channels()).div_ceil(4),
        };
        widen::<CONV_COLUMNS>(rows, target)
    }

    /// A window that reaches over the input's edge, run by run.
    #[inline(never)]
    fn clipped(&self, rows: Span, columns: Span, target: &mut [u32]) {
        let (kernel_h, kernel_w) = (usize::from(self.window.kernel_h), usize::from(self.window.kernel_w));
        let (channels, dense) = (self.channels(), self.window.dilation_w == 1);
        let runs = if dense { 1 } else { kernel_w };
        let quads = if dense { (kernel_w * channels).div_ceil(4) } else { channels.div_ceil(4) };
        let mut targets = target.chunks_mut((2 * quads * CONV_COLUMNS).max(1));
        for ky in 0..kernel_h {
            for kx in 0..runs {
                let Some(target) = targets.next() else { return };
                if !rows.covers(ky) || !dense && !columns.covers(kx) {
                    self.fill(target);
                    continue;
                }
                let y = rows.input + (ky - rows.kernel) * rows.step;
                if dense {
                    let start = self.input.place(y, columns.input);
                    self.run(start, columns.kernel * channels, columns.len * channels, target);
                } else {
                    let x = columns.input + (kx - columns.kernel) * columns.step;
                    self.run(self.input.place(y, x), 0, channels, target);
                }
            }
        }
    }

    /// `inside` codes from index `start` on, behind `before` zeros and before more of them.
    fn run(&self, start: usize, before: usize, inside: usize, target: &mut [u32]) {
        let element = self.input.element();
        if before.is_multiple_of(4) && inside.is_multiple_of(4) {
            let bytes = self.input.codes.bytes().get(start * element.bytes()..).unwrap_or_default();
            let (first, rest) = split(target, before / 2);
            let (middle, last) = split(rest, inside / 2);
            self.fill(first);
            let _ = widen::<CONV_COLUMNS>(Rows { element, bytes, step: 0, count: 1, quads: inside / 4 }, middle);
            self.fill(last);
            return;
        }
        for (quad, words) in target.chunks_mut(2 * CONV_COLUMNS).enumerate() {
            let code = |entry: usize| {
                let index = (4 * quad + entry).wrapping_sub(before);
                let code = if index < inside { self.input.code(start + index) } else { self.zero.into() };
                code.cast_unsigned() & 0xffff
            };
            let steps = [code(0) | code(2) << 16, code(1) | code(3) << 16];
            for (word, step) in words.iter_mut().step_by(CONV_COLUMNS).zip(steps) {
                *word = step;
            }
        }
    }

    fn fill(&self, target: &mut [u32]) {
        let zero = u32::from(self.zero.cast_unsigned());
        for word in target.iter_mut().step_by(CONV_COLUMNS) {
            *word = zero | zero << 16;
        }
    }

    fn channels(&self) -> usize {
        self.input.shape.c.into()
    }
}

/// The words of so many steps, and those behind them.
fn split(target: &mut [u32], steps: usize) -> (&mut [u32], &mut [u32]) {
    let at = (steps * CONV_COLUMNS).min(target.len());
    target.split_at_mut(at)
}

/// The aligned words of scratch: as many as `count`, or none.
pub(super) fn words(scratch: &mut [u8], count: usize) -> &mut [u32] {
    let (_, words, _) = bytemuck::pod_align_to_mut::<u8, u32>(scratch);
    words.get_mut(..count).unwrap_or_default()
}

/// Widens a whole tensor into one column; zeros behind it.
pub(super) fn flat(input: &View<'_>, target: &mut [u32]) {
    let (element, bytes) = (input.element(), input.codes.bytes());
    let quads = input.codes.len() / 4;
    let _ = widen::<1>(Rows { element, bytes, step: 0, count: 1, quads }, target);
    let code = |entry: usize| input.code(4 * quads + entry).cast_unsigned() & 0xffff;
    let steps = [code(0) | code(2) << 16, code(1) | code(3) << 16];
    for (word, step) in target.iter_mut().skip(2 * quads).zip(steps) {
        *word = step;
    }
}
