//! Bands: the rows of an output that a window writes at a time, and the rows of the input that they read.

use core::ops::Range;

use super::{InOut, View, ViewMut};
use crate::arena::{Sides, apart};
use crate::format::{Case, Detail, Element, Links, Scratch, Shape, TensorRecord, Window, packs};

/// The bands of an output from the first row to the last: all of it at once where it lies apart from the input; where it lies over
/// rows that were passed, the rows that have room below those that are read, and one by one behind them. A program whose kernels
/// make nothing of a layer's weights takes rows one by one from the first.
///
/// What a kernel makes of a layer's weights, it makes before the first band.
#[derive(Debug)]
pub struct Bands<'a, const LINKS: Links> {
    sides: Sides<'a>,
    input: &'a TensorRecord,
    output: &'a TensorRecord,
    /// Their regions.
    source: Range<usize>,
    target: Range<usize>,
    window: &'a Window,
    /// Extents of both, as far as bands are concerned.
    shapes: [Shape; 2],
    /// First row of the next band, and the least rows of each.
    oy: usize,
    step: usize,
}

impl<'a, const LINKS: Links> Bands<'a, LINKS> {
    /// Those of a layer, and its scratch; `None` where the scratch is outside of the arena.
    pub(crate) fn new(
        arena: &'a mut [u8],
        (input, output): (&'a TensorRecord, &'a TensorRecord),
        window: &'a Window,
        scratch: Scratch,
    ) -> Option<(Self, &'a mut [u8])> {
        let (sides, scratch) = Sides::of(arena, &scratch.region())?;
        let (source, target) = (input.checked_region::<LINKS>(), output.checked_region::<LINKS>());
        let is_apart = !Detail::Overlap.is_in(LINKS) || apart(&source, &target);
        let step = if is_apart { usize::from(output.shape.h).max(1) } else { 1 };
        let shapes = [input.shape, output.shape];
        Some((Self { sides, input, output, source, target, window, shapes, oy: 0, step }, scratch))
    }

    /// For a kernel that takes so many pixels at a time: rows without a remainder. A window of one pixel does not see where rows end, so
    /// that both tensors are taken as rows of as many tiles as fit into one of theirs; the last row may be shorter.
    #[inline]
    pub(crate) fn round_rows(&mut self, tile: u16) {
        let Shape { h, w, .. } = self.output.shape;
        let columns = w - w % tile;
        if !Case::Remainder.is_in(LINKS) || self.step > 1 || columns == 0 || *self.window != const { Window::new(1, 1) }
        {
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

    /// The next rows of the output, and the input from the first row on that they read.
    pub(crate) fn next(&mut self) -> Option<(View<'_>, ViewMut<'_>)> {
        let (input, output, oy) = (self.input, self.output, self.oy);
        let [input_shape, output_shape] = self.shapes;
        if oy >= output_shape.h.into() {
            return None;
        }
        let row_bytes =
            |shape: Shape, element: Element| shape.w as usize * shape.c as usize * element.linked_bytes::<LINKS>();
        let first_row = self.window.first_row(oy);
        let first_row = if Detail::Edge.is_in(LINKS) { first_row.min(input_shape.h.into()) } else { first_row };
        let source = self.source.start + row_bytes(input_shape, input.element) * first_row..self.source.end;
        let row = row_bytes(output_shape, output.element);
        let start = self.target.start + row * oy;
        let mut rows = self.step;
        let end = start + row * rows;
        if Detail::Overlap.is_in(LINKS) && packs(LINKS) {
            let room = source.start.saturating_sub(end).checked_div(row).unwrap_or(0);
            rows = rows.saturating_add(room).min(usize::from(output_shape.h) - oy);
        }
        self.oy = oy.saturating_add(rows);
        let end = (start + row * rows).min(self.target.end);
        let (x, y) = self.pair(&source, &(start..end))?;
        Some((
            View { shape: input_shape, first_row, ..input.view(x) },
            ViewMut { shape: output_shape, first_row: oy, ..output.view_mut(y) },
        ))
    }

    /// All of both tensors, for a kernel that reads each code before it writes over it: both may lie in one place.
    #[inline(never)]
    pub(crate) fn in_out(&mut self) -> Option<InOut<'_>> {
        let (input, output) = (self.input, self.output);
        if self.source == self.target {
            return Some(InOut::InPlace(output.view_mut(self.sides.get_mut(&self.target)?), input.element));
        }
        let (source, target) = (self.source.clone(), self.target.clone());
        let (x, y) = self.pair(&source, &target)?;
        Some(InOut::Apart(input.view(x), output.view_mut(y)))
    }

    /// What is read, and what is written.
    #[inline]
    fn pair(&mut self, read: &Range<usize>, written: &Range<usize>) -> Option<(&[u8], &mut [u8])> {
        if Detail::Scratch.is_in(LINKS) { self.sides.pair(read, written) } else { self.sides.pair_above(read, written) }
    }

    /// Runs a kernel that makes nothing before.
    pub(crate) fn each(&mut self, mut kernel: impl FnMut(View<'_>, ViewMut<'_>)) {
        while let Some((x, y)) = self.next() {
            kernel(x, y);
        }
    }
}
