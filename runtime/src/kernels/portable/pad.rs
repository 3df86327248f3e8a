use super::regions::copy;
use crate::format::Pad;
use crate::kernels::{View, ViewMut};

/// A tensor in a frame of one code. Spec 4.15.
///
/// input   `[H, W, C]`              i8
/// output  `[H_OUT, W_OUT, C_OUT]`  i8
pub fn pad(op: &Pad, input: View<'_>, output: ViewMut<'_>) {
    output.codes.fill(op.value);
    let shape = input.shape;
    let target = (output.codes, output.shape, op.before);
    copy((input.codes, shape, [0; 3]), target, [shape.h, shape.w], shape.c.into());
}
