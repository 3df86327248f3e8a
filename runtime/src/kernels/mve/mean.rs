use super::{arm, has_mean};
use crate::format::{Element, Mean};
use crate::kernels::{View, ViewMut};

/// The mean of all pixels of one byte, 16 channels at a time. Spec 4.5. False for others, and for products that may leave 32 bits:
/// then nothing is written.
pub fn mean(op: &Mean, input: &View<'_>, output: &mut ViewMut<'_>) -> bool {
    if !has_mean(op, input.shape, [input.element(), output.element]) {
        return false;
    }
    let pixels = usize::from(input.shape.h) * usize::from(input.shape.w);
    arm::mean(input.element() == Element::U8, input.bytes, pixels, op, output.bytes);
    true
}
