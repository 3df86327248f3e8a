use super::regions::copy;
use crate::format::Pad;
use crate::kernels::{View, ViewMut};

/// A tensor in a frame of one code. Spec 4.15.
///
/// input   `[H, W, C]`              codes
/// output  `[H_OUT, W_OUT, C_OUT]`  codes of the input's element and step
pub fn pad(op: &Pad, input: View<'_>, mut output: ViewMut<'_>) {
    for index in 0..output.len() {
        output.put(index, op.value.into());
    }
    let (shape, size) = (input.shape, output.element.bytes());
    let target = (output.bytes, output.shape, op.before);
    copy((input.bytes, shape, [0; 3]), target, [shape.h, shape.w], shape.c.into(), size);
}
