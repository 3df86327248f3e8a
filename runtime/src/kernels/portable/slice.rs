use super::regions::copy;
use crate::format::Slice;
use crate::kernels::{View, ViewMut};

/// A part of a tensor: as many rows, columns and channels as the output has. Spec 4.14.
///
/// input   `[H, W, C]`              codes
/// output  `[H_OUT, W_OUT, C_OUT]`  codes of the input's element and step
pub fn slice(op: &Slice, input: View<'_>, output: ViewMut<'_>) {
    let (shape, size) = (output.shape, output.element.bytes());
    let source = (input.bytes, input.shape, op.start);
    copy(source, (output.bytes, shape, [0; 3]), [shape.h, shape.w], shape.c.into(), size);
}
