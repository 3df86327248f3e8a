use crate::codes::Codes;
use crate::format::{Element, Table};
use crate::kernels::InOut;

/// A curve by table; between the entries of a table for 16 bits, along a straight line. Spec 4.11.
///
/// table  `[256]` codes of the output's element, or `[513]` for an input of 16 bits
/// codes  `[H, W, C]`
pub fn table(op: &Table<'_>, input: Element, mut codes: InOut<'_>) {
    let entries = Codes::new(codes.element(), op.codes);
    match input {
        Element::I8 => codes.map(|_, x| entries.get(usize_of(x + 128)).map_or(0, i32::from)),
        Element::U8 => codes.map(|_, x| entries.get(usize_of(x)).map_or(0, i32::from)),
        Element::I16 => codes.map(|_, x| {
            let place = usize_of((x >> 7) + 256);
            let entry = |index: usize| entries.get(index).map_or(0, i32::from);
            let fraction = x & 127;
            (entry(place) * (128 - fraction) + entry(place + 1) * fraction + 64) >> 7
        }),
    }
}

/// An index that is not negative.
#[inline]
const fn usize_of(index: i32) -> usize {
    index.cast_unsigned() as usize
}
