use super::instructions::{First, Sum, add};
use super::layer::{has_saturate, linked_saturate};
use crate::arithmetic::rounding;
use crate::format::{Binary, BinaryKind, Case, Element, Links};
use crate::kernels::{InOut, View};

/// Greatest left shift whose factor is a half word.
const MAX_FACTOR_SHIFT: u8 = 14;

/// Sum or difference of two tensors of one element of 8 bits; false for others, which it leaves alone. Spec 4.6.
///
/// a_output  `[H, W, C]`  codes of the first operand, and of the result, which may lie in its place
/// b         `[H, W, C]`  codes
#[must_use]
pub fn binary<const LINKS: Links>(op: &Binary, a_output: &mut InOut<'_>, b: Option<&View<'_>>) -> bool {
    let Some(b) = b else { return false };
    let elements = [a_output.operand_element(), b.element(), a_output.element()];
    if Case::Operator.is_in(LINKS) && !has_sum(op, elements) {
        return false;
    }
    let (first, output) = First::of(a_output);
    add::<LINKS>(&sum::<LINKS>(op, output.element), &first, b.bytes, output.bytes);
    true
}

/// The addition of tensors of an element that [`has_sum`].
fn sum<const LINKS: Links>(op: &Binary, element: Element) -> Sum {
    let sign = if op.kind == BinaryKind::Sub { -1 } else { 1 };
    let b_factor: i16 = sign << op.b_shift.min(MAX_FACTOR_SHIFT);
    let factors = 1_u32 << op.a_shift.min(MAX_FACTOR_SHIFT) | u32::from(b_factor.cast_unsigned()) << 16;
    let right_shift = usize::from(op.right_shift.unsigned_abs());
    let end = linked_saturate::<LINKS>(op.activation, element);
    Sum { signed: element == Element::I8, factors, rounding: rounding(op.right_shift), right_shift, end }
}

/// Whether the instructions have the sum or difference of two tensors of these elements, in a third.
pub fn has_sum(op: &Binary, [a, b, output]: [Element; 3]) -> bool {
    let alike = a == b && a == output && a != Element::I16;
    let is_sum = matches!(op.kind, BinaryKind::Add | BinaryKind::Sub);
    is_sum
        && alike
        && has_saturate(op.activation, output)
        && op.a_shift.max(op.b_shift) <= MAX_FACTOR_SHIFT
        && op.right_shift >= 0
}
