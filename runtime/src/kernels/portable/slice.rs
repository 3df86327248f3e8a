use super::regions::copy;
use crate::format::Slice;
use crate::kernels::{View, ViewMut};

/// A part of a tensor: as many rows, columns and channels as the output has. Spec 4.14.
///
/// input   `[H, W, C]`              i8
/// output  `[H_OUT, W_OUT, C_OUT]`  i8
pub fn slice(op: &Slice, input: View<'_>, output: ViewMut<'_>) {
    let shape = output.shape;
    let source = (input.codes, input.shape, op.start);
    copy(source, (output.codes, shape, [0; 3]), [shape.h, shape.w], shape.c.into());
}
