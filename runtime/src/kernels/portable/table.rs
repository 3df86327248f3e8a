use crate::format::{TABLE_ENTRIES, Table};
use crate::kernels::ViewMut;

/// A curve by table, where the codes lie. Spec 4.11.
///
/// table   `[256]`      i8
/// output  `[H, W, C]`  i8; holds the input and is overwritten
pub fn table(op: &Table<'_>, output: ViewMut<'_>) {
    let Some(table) = op.codes.first_chunk::<TABLE_ENTRIES>() else { return };
    for code in output.codes {
        // -128 is entry 0: the sign bit flipped, as an unsigned index that no table is too short for.
        let index = code.cast_unsigned() ^ 0x80;
        *code = table[usize::from(index)].cast_signed();
    }
}
