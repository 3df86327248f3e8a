//! Regions of an arena: one that is written, beside those that are read.

use core::ops::Range;

use crate::format::Scratch;

/// No byte is in both.
#[inline]
pub(crate) const fn apart(a: &Range<usize>, b: &Range<usize>) -> bool {
    a.end <= b.start || b.end <= a.start
}

/// A region of a part of the arena that begins at `base`, as a region of that part; `None` where it begins before.
#[inline]
const fn within(region: &Range<usize>, base: usize) -> Option<Range<usize>> {
    match (region.start.checked_sub(base), region.end.checked_sub(base)) {
        (Some(start), Some(end)) => Some(start..end),
        _ => None,
    }
}

/// A region that is read and one that is written, of a part of the arena that begins at `base`; `None` where they share a byte, or
/// the part does not hold them.
pub(crate) fn pair<'a>(
    part: &'a mut [u8],
    base: usize,
    read: &Range<usize>,
    written: &Range<usize>,
) -> Option<(&'a [u8], &'a mut [u8])> {
    let (read, written) = (within(read, base)?, within(written, base)?);
    if read.end <= written.start {
        let (below, above) = part.split_at_mut_checked(written.start)?;
        Some((below.get(read)?, above.get_mut(..written.end.checked_sub(written.start)?)?))
    } else {
        let (below, above) = part.split_at_mut_checked(read.start)?;
        Some((above.get(..read.end.checked_sub(read.start)?)?, below.get_mut(written)?))
    }
}

/// As [`pair`], of the whole arena, with a scratch that shares no byte with them.
#[inline]
pub(crate) fn pair_and_scratch<'a>(
    arena: &'a mut [u8],
    scratch: Scratch,
    read: &Range<usize>,
    written: &Range<usize>,
) -> Option<(&'a [u8], &'a mut [u8], &'a mut [u8])> {
    if scratch.bytes == 0 {
        let (x, y) = pair(arena, 0, read, written)?;
        return Some((x, y, &mut []));
    }
    let (sides, scratch) = Sides::of(arena, &scratch.region())?;
    let (x, y) = sides.into_pair(read, written)?;
    Some((x, y, scratch))
}

/// The arena on both sides of a region.
#[derive(Debug)]
pub(crate) struct Sides<'a> {
    below: &'a mut [u8],
    above: &'a mut [u8],
    /// Where `above` begins.
    start: usize,
}

impl<'a> Sides<'a> {
    /// Those of a region, and its bytes; `None` where it is outside of the arena.
    #[inline]
    pub(crate) fn of(arena: &'a mut [u8], between: &Range<usize>) -> Option<(Self, &'a mut [u8])> {
        let (rest, above) = arena.split_at_mut_checked(between.end)?;
        let (below, bytes) = rest.split_at_mut_checked(between.start)?;
        Some((Self { below, above, start: between.end }, bytes))
    }

    /// A region on one side, to be read; `None` where it is over a side.
    #[inline]
    pub(crate) fn get(&self, region: &Range<usize>) -> Option<&[u8]> {
        match within(region, self.start) {
            Some(region) => self.above.get(region),
            None => self.below.get(region.clone()),
        }
    }

    /// As [`Self::get`], to be written.
    #[inline]
    pub(crate) fn get_mut(&mut self, region: &Range<usize>) -> Option<&mut [u8]> {
        match within(region, self.start) {
            Some(region) => self.above.get_mut(region),
            None => self.below.get_mut(region.clone()),
        }
    }

    /// A region that is read and one that is written; `None` where they share a byte, or one is over a side.
    #[inline]
    pub(crate) fn pair(&mut self, read: &Range<usize>, written: &Range<usize>) -> Option<(&[u8], &mut [u8])> {
        Sides { below: self.below, above: self.above, start: self.start }.into_pair(read, written)
    }

    /// As [`Self::pair`], where nothing is below.
    #[inline]
    pub(crate) fn pair_above(&mut self, read: &Range<usize>, written: &Range<usize>) -> Option<(&[u8], &mut [u8])> {
        pair(self.above, 0, read, written)
    }

    /// As [`Self::pair`], for good.
    fn into_pair(self, read: &Range<usize>, written: &Range<usize>) -> Option<(&'a [u8], &'a mut [u8])> {
        let Self { below, above, start } = self;
        match (read.start >= start, written.start >= start) {
            (true, true) => pair(above, start, read, written),
            (false, false) => pair(below, 0, read, written),
            (true, false) => Some((above.get(within(read, start)?)?, below.get_mut(written.clone())?)),
            (false, true) => Some((below.get(read.clone())?, above.get_mut(within(written, start)?)?)),
        }
    }
}

#[cfg(test)]
mod tests {
    use core::ops::Range;

    use super::{Sides, apart, pair};

    /// Every two regions of eight bytes.
    fn each_two_regions(mut check: impl FnMut(Range<usize>, Range<usize>)) {
        let regions = || (0..10).flat_map(|start| (start + 1..=10).map(move |end| start..end));
        for (a, b) in regions().flat_map(|a| regions().map(move |b| (a.clone(), b))) {
            check(a, b);
        }
    }

    #[test]
    fn a_region_is_found_where_it_lies_apart_from_what_is_written() {
        each_two_regions(|written, read| {
            let apart = apart(&read, &written);
            let inside = read.end <= 8 && written.end <= 8;
            for base in [0, 5] {
                let mut part = [0, 1, 2, 3, 4, 5, 6, 7];
                let shift = |region: &Range<usize>| base + region.start..base + region.end;
                let found = pair(&mut part, base, &shift(&read), &shift(&written));
                assert_eq!(found.is_some(), apart && inside, "{read:?} beside {written:?}");
                if let Some((x, y)) = found {
                    assert_eq!((x[0] as usize, x.len()), (read.start, read.len()));
                    assert_eq!((y[0] as usize, y.len()), (written.start, written.len()));
                }
            }
            let mut arena = [0, 1, 2, 3, 4, 5, 6, 7];
            let Some((sides, y)) = Sides::of(&mut arena, &written) else { return assert!(written.end > 8) };
            assert_eq!((y[0] as usize, y.len()), (written.start, written.len()));
            let found = sides.get(&read);
            assert_eq!(found.is_some(), apart && inside, "{read:?} around {written:?}");
            assert!(found.is_none_or(|x| x[0] as usize == read.start && x.len() == read.len()));
        });
        assert!(pair(&mut [0; 8], 5, &(5..9), &(4..5)).is_none());
    }

    #[test]
    fn no_region_reaches_into_a_scratch() {
        each_two_regions(|written, read| {
            for scratch in [0..0, 0..2, 3..5, 6..8] {
                let mut arena = [0, 1, 2, 3, 4, 5, 6, 7];
                let (mut sides, taken) = Sides::of(&mut arena, &scratch).unwrap();
                assert_eq!(taken.len(), scratch.len());
                let free = |region: &Range<usize>| region.end <= 8 && apart(region, &scratch);
                let found = sides.pair(&read, &written);
                assert_eq!(found.is_some(), free(&read) && free(&written) && apart(&read, &written));
                if let Some((x, y)) = found {
                    assert_eq!((x[0] as usize, y[0] as usize), (read.start, written.start));
                    assert_eq!((x.len(), y.len()), (read.len(), written.len()));
                }
                assert_eq!(sides.get_mut(&read).map(|bytes| bytes[0] as usize), free(&read).then_some(read.start));
            }
        });
    }
}
