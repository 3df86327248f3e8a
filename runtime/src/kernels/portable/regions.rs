//! Boxes of rows, columns and channels inside a tensor.

use crate::format::Shape;

/// Index of the first code of every pixel of a box of `[rows, columns]` that begins at `start` (row, column, channel).
#[inline]
pub(super) fn rows(shape: Shape, start: [u16; 3], size: [u16; 2]) -> impl Iterator<Item = usize> {
    let [y0, x0, c0] = start.map(usize::from);
    let [h, w] = size.map(usize::from);
    let (row_len, c) = (usize::from(shape.w), usize::from(shape.c));
    (y0..y0 + h).flat_map(move |y| (x0..x0 + w).map(move |x| (y * row_len + x) * c + c0))
}

/// Extent along rows (0), columns (1) or channels (2).
#[inline]
pub(super) const fn axis_len(shape: Shape, axis: u8) -> u16 {
    match axis {
        0 => shape.h,
        1 => shape.w,
        _ => shape.c,
    }
}

/// Copies a box of `size` rows and columns, `len` channels each, of codes of `element_bytes`.
#[inline]
pub(super) fn copy(
    (source, source_shape, source_start): (&[u8], Shape, [u16; 3]),
    (target, target_shape, target_start): (&mut [u8], Shape, [u16; 3]),
    size: [u16; 2],
    len: usize,
    element_bytes: usize,
) {
    let len = len * element_bytes;
    for (from, to) in rows(source_shape, source_start, size).zip(rows(target_shape, target_start, size)) {
        let source = source.get(from * element_bytes..).and_then(|bytes| bytes.get(..len));
        let target = target.get_mut(to * element_bytes..).and_then(|bytes| bytes.get_mut(..len));
        if let (Some(source), Some(target)) = (source, target) {
            target.copy_from_slice(source);
        }
    }
}
