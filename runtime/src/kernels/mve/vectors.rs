//! What the vector instructions have of operators without weights.

use crate::arithmetic::rounding;
use crate::format::{Binary, BinaryKind, Element, Mean, Shape};

/// Operands that are shifted no further have sums of 16 bits.
const MAX_ALIGN_SHIFT: u8 = 6;

/// Greatest distance of a code from 0.
const MAX_CODE: u64 = 255;

/// Whether they have the sum of two tensors of these elements, in a third.
pub fn has_sum(op: &Binary, [a, b, output]: [Element; 3]) -> bool {
    let bytes = a == b && a != Element::I16 && output != Element::I16;
    op.kind == BinaryKind::Add && bytes && op.a_shift.max(op.b_shift) <= MAX_ALIGN_SHIFT
}

/// Whether they have the mean of all pixels of a tensor: products of more than 32 bits they have not.
pub fn has_mean(op: &Mean, input: Shape, elements: [Element; 2]) -> bool {
    let pixels = u64::from(input.h) * u64::from(input.w);
    let greatest = pixels.saturating_mul(MAX_CODE).saturating_mul(op.multiplier.unsigned_abs().into());
    let fits = greatest.saturating_add(rounding(op.right_shift).unsigned_abs().into()) <= i32::MAX as u64;
    op.axes == Mean::GLOBAL && !elements.contains(&Element::I16) && fits && (0..=30).contains(&op.right_shift)
}
