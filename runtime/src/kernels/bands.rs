//! Bands: the rows of an output that a window writes at a time, and the rows of the input that they read.

use core::ops::Range;

use super::{InOut, View, ViewMut};
use crate::arena::Around;
use crate::format::{Scratch, TensorRecord, Window};

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
        let apart = source.end <= target.start || target.end <= source.start;
        let step = if apart { output.shape.h.max(1) } else { 1 };
        let arena = Arena { below, above, start: end };
        Some((Self { arena, input, output, source, target, window, oy: 0, step }, scratch))
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
        if oy >= output.shape.h {
            return None;
        }
        self.oy = oy.saturating_add(self.step);
        let first_row = u16::try_from(self.window.first_row(oy)).ok()?.min(input.shape.h);
        let source = self.source.start + input.row_bytes() * usize::from(first_row)..self.source.end;
        let row = output.row_bytes();
        let target = self.target.start + row * usize::from(oy);
        let (x, y) = self.arena.two(&source, &(target..target + row * usize::from(self.step)))?;
        Some((View { first_row, ..input.view(x) }, ViewMut { first_row: oy, ..output.view_mut(y) }))
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
