//! Bands: the rows of an output that a window writes at a time, and the rows of the input that they read.

use core::ops::Range;

use super::{InOut, View, ViewMut};
use crate::arena::{Around, apart};
use crate::format::{Element, Scratch, Shape, TensorRecord, Window};

/// The bands of an output from the first row to the last: all of it at once where it lies apart from the input; row by row
/// where it lies over rows that were passed.
///
/// What a kernel makes of a layer's weights, it makes before the first band.
#[derive(Debug)]
pub struct Bands<'a> {
    arena: Arena<'a>,
    input: &'a TensorRecord,
    output: &'a TensorRecord,
    /// Their regions.
    source: Range<usize>,
    target: Range<usize>,
    window: &'a Window,
    /// Extents of both, as far as bands are concerned.
    shapes: [Shape; 2],
    /// First row of the next band, and rows of each.
    oy: u16,
    step: u16,
}

/// The arena on both sides of a scratch.
#[derive(Debug)]
struct Arena<'a> {
    below: &'a mut [u8],
    above: &'a mut [u8],
    /// Where `above` begins.
    start: usize,
}

impl<'a> Bands<'a> {
    /// Those of a layer, and its scratch; `None` where the scratch is outside of the arena.
    #[inline(never)]
    pub(crate) fn new(
        arena: &'a mut [u8],
        (input, output): (&'a TensorRecord, &'a TensorRecord),
        window: &'a Window,
        scratch: Scratch,
    ) -> Option<(Self, &'a mut [u8])> {
        let Range { start, end } = if scratch.bytes == 0 { 0..0 } else { scratch.region() };
        let (rest, above) = arena.split_at_mut_checked(end)?;
        let (below, scratch) = rest.split_at_mut_checked(start)?;
        let (source, target) = (input.region(), output.region());
        let step = if apart(&source, &target) { output.shape.h.max(1) } else { 1 };
        let arena = Arena { below, above, start: end };
        let shapes = [input.shape, output.shape];
        Some((Self { arena, input, output, source, target, window, shapes, oy: 0, step }, scratch))
    }

    /// For a kernel that takes so many pixels at a time: rows without a remainder. A window of one pixel does not see where rows end, so
    /// that both tensors are taken as rows of as many tiles as fit into one of theirs; the last row may be shorter.
    #[inline]
    pub(crate) fn round_rows(&mut self, tile: u16) {
        let Shape { h, w, .. } = self.output.shape;
        let columns = w - w % tile;
        if self.step > 1 || columns == 0 || *self.window != const { Window::new(1, 1) } {
            return;
        }
        if let Ok(rows) = u16::try_from((usize::from(h) * usize::from(w)).div_ceil(columns.into())) {
            self.shapes = self.shapes.map(|shape| Shape { h: rows, w: columns, ..shape });
        }
    }

    /// The tensor that is read.
    pub(crate) const fn input(&self) -> &'a TensorRecord {
        self.input
    }

    /// The tensor that is written.
    pub(crate) const fn output(&self) -> &'a TensorRecord {
        self.output
    }

    /// All of both tensors.
    #[inline]
    pub(crate) fn whole(&mut self) -> Option<(View<'_>, ViewMut<'_>)> {
        let (input, output) = (self.input, self.output);
        let (x, y) = self.arena.two(&self.source, &self.target)?;
        Some((input.view(x), output.view_mut(y)))
    }

    /// The next rows of the output, and the input from the first row on that they read.
    #[inline(never)]
    pub(crate) fn next(&mut self) -> Option<(View<'_>, ViewMut<'_>)> {
        let (input, output, oy) = (self.input, self.output, self.oy);
        let [input_shape, output_shape] = self.shapes;
        if oy >= output_shape.h {
            return None;
        }
        self.oy = oy.saturating_add(self.step);
        let row_bytes = |shape: Shape, element: Element| shape.w as usize * shape.c as usize * element.bytes();
        let first_row = u16::try_from(self.window.first_row(oy)).ok()?.min(input_shape.h);
        let source =
            self.source.start + row_bytes(input_shape, input.element) * usize::from(first_row)..self.source.end;
        let row = row_bytes(output_shape, output.element);
        let start = self.target.start + row * usize::from(oy);
        let end = (start + row * usize::from(self.step)).min(self.target.end);
        let (x, y) = self.arena.two(&source, &(start..end))?;
        Some((
            View { shape: input_shape, first_row, ..input.view(x) },
            ViewMut { shape: output_shape, first_row: oy, ..output.view_mut(y) },
        ))
    }

    /// As [`Self::whole`], for a kernel that reads each code before it writes over it: both may lie in one place.
    #[inline(never)]
    pub(crate) fn in_out(&mut self) -> Option<InOut<'_>> {
        let (input, output) = (self.input, self.output);
        if self.source == self.target {
            return Some(InOut::InPlace(output.view_mut(self.arena.one(self.target.clone())?), input.element));
        }
        let (x, y) = self.arena.two(&self.source, &self.target)?;
        Some(InOut::Apart(input.view(x), output.view_mut(y)))
    }

    /// Runs a kernel that makes nothing before.
    pub(crate) fn each(&mut self, mut kernel: impl FnMut(View<'_>, ViewMut<'_>)) {
        while let Some((x, y)) = self.next() {
            kernel(x, y);
        }
    }
}

impl Arena<'_> {
    /// A region on one side; `None` where it is over a side.
    fn one(&mut self, region: Range<usize>) -> Option<&mut [u8]> {
        match region.start.checked_sub(self.start) {
            Some(start) => self.above.get_mut(start..region.end.checked_sub(self.start)?),
            None => self.below.get_mut(region),
        }
    }

    /// A region that is read and one that is written; `None` where they share a byte, or one is over a side.
    fn two(&mut self, source: &Range<usize>, target: &Range<usize>) -> Option<(&[u8], &mut [u8])> {
        let (is_above, reads_above) = (target.start >= self.start, source.start >= self.start);
        let (side, base, other) =
            if is_above { (&mut *self.above, self.start, &*self.below) } else { (&mut *self.below, 0, &*self.above) };
        let (y, around) = Around::take(side, base, target)?;
        if is_above == reads_above {
            return Some((around.get(base, source)?, y));
        }
        let base = if is_above { 0 } else { self.start };
        Some((other.get(source.start.checked_sub(base)?..source.end.checked_sub(base)?)?, y))
    }
}
