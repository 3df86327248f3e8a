//! Regions of an arena: one that is written, beside those that are read.

use core::ops::Range;

/// No byte is in both.
#[inline]
pub(crate) const fn apart(a: &Range<usize>, b: &Range<usize>) -> bool {
    a.end <= b.start || b.end <= a.start
}

/// What lies around a region that is written.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Around<'a> {
    below: &'a [u8],
    above: &'a [u8],
    /// Where `above` begins.
    start: usize,
}

impl<'a> Around<'a> {
    /// Takes the region that is written out of a part of the arena that begins at `base`; `None` where it is not in there.
    #[inline(never)]
    pub(crate) fn take(part: &'a mut [u8], base: usize, written: &Range<usize>) -> Option<(&'a mut [u8], Self)> {
        let (below, rest) = part.split_at_mut_checked(written.start.checked_sub(base)?)?;
        let (written_bytes, above) = rest.split_at_mut_checked(written.end.checked_sub(written.start)?)?;
        Some((written_bytes, Self { below, above, start: written.end }))
    }

    /// A region, where a part that begins at `base` holds it, apart from what is written.
    #[inline(never)]
    pub(crate) fn get(&self, base: usize, region: &Range<usize>) -> Option<&'a [u8]> {
        match region.start.checked_sub(self.start) {
            Some(start) => self.above.get(start..region.end.checked_sub(self.start)?),
            None => self.below.get(region.start.checked_sub(base)?..region.end.checked_sub(base)?),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Around;

    /// Every region of eight bytes, beside every other one.
    #[test]
    fn a_region_is_found_where_it_lies_apart_from_what_is_written() {
        for base in [0, 5] {
            for (start, end) in (0..8).flat_map(|start| (start + 1..=8).map(move |end| (base + start, base + end))) {
                let mut part = [0, 1, 2, 3, 4, 5, 6, 7];
                let (written, around) = Around::take(&mut part, base, &(start..end)).unwrap();
                assert_eq!((written[0] as usize, written.len()), (start - base, end - start));
                for (from, to) in (0..10).flat_map(|from| (from + 1..=10).map(move |to| (base + from, base + to))) {
                    let apart = (to <= start || from >= end) && to <= base + 8;
                    let found = around.get(base, &(from..to));
                    assert_eq!(found.is_some(), apart, "{from}..{to} beside {start}..{end}");
                    assert!(found.is_none_or(|codes| codes[0] as usize == from - base && codes.len() == to - from));
                }
            }
        }
        assert!(Around::take(&mut [0; 8], 0, &(5..9)).is_none());
        assert!(Around::take(&mut [0; 8], 5, &(4..9)).is_none());
    }
}
