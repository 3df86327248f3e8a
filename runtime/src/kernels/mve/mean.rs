use super::arm;
use crate::arithmetic::rounding;
use crate::format::{Element, Mean};
use crate::kernels::{View, ViewMut};

/// Greatest distance of a code from 0.
const MAX_CODE: u64 = 255;

/// The mean of all pixels of one byte, 16 channels at a time. Spec 4.5. False for others, and for products that may leave 32 bits:
/// then nothing is written.
pub fn mean(op: &Mean, input: &View<'_>, output: &mut ViewMut<'_>) -> bool {
    let are_bytes = input.element() != Element::I16 && output.element != Element::I16;
    let pixels = usize::from(input.shape.h) * usize::from(input.shape.w);
    let greatest = (pixels as u64).saturating_mul(MAX_CODE).saturating_mul(op.multiplier.unsigned_abs().into());
    let fits = greatest.saturating_add(rounding(op.right_shift).unsigned_abs().into()) <= i32::MAX as u64;
    if op.axes != Mean::GLOBAL || !are_bytes || !fits || !(0..=30).contains(&op.right_shift) {
        return false;
    }
    arm::mean(input.element() == Element::U8, input.codes.bytes(), pixels, op, output.bytes);
    true
}
