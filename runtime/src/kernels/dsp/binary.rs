use super::instructions::{First, Sum, add};
use super::layer::saturate;
use super::tile::End;
use crate::arithmetic::rounding;
use crate::format::{Binary, BinaryKind, Element, Links};
use crate::kernels::{InOut, View};

/// Greatest left shift whose factor is a half word.
const MAX_FACTOR_SHIFT: u8 = 14;

/// Sum or difference of two tensors of one element of 8 bits; false for others, which it leaves alone. Spec 4.6.
///
/// a_output  `[H, W, C]`  codes of the first operand, and of the result, which may lie in its place
/// b         `[H, W, C]`  codes
#[must_use]
pub fn binary<const LINKS: Links>(op: &Binary, a_output: &mut InOut<'_>, b: Option<&View<'_>>) -> bool {
    let Some((sum, b)) = sum(op, a_output, b) else { return false };
    match a_output {
        InOut::InPlace(output, _) => add::<LINKS>(&sum, &First::InPlace, b, output.bytes),
        InOut::Apart(a, output) => add::<LINKS>(&sum, &First::Apart(a.bytes), b, output.bytes),
    }
    true
}

/// The addition that the instructions have for two tensors.
fn sum<'v>(op: &Binary, a: &InOut<'_>, b: Option<&View<'v>>) -> Option<(Sum, &'v [u8])> {
    let b = b?;
    let element = a.operand_element();
    if !has_sum(op, [element, b.element(), a.element()]) {
        return None;
    }
    let sign = if op.kind == BinaryKind::Sub { -1 } else { 1 };
    let right_shift = usize::try_from(op.right_shift).ok()?;
    let b_factor: i16 = sign << op.b_shift;
    let factors = 1_u32 << op.a_shift | u32::from(b_factor.cast_unsigned()) << 16;
    let end = saturate(op.activation, element);
    let signed = element == Element::I8;
    Some((Sum { signed, factors, rounding: rounding(op.right_shift), right_shift, end }, b.bytes))
}

/// Whether the instructions have the sum or difference of two tensors of these elements, in a third.
pub fn has_sum(op: &Binary, [a, b, output]: [Element; 3]) -> bool {
    let end = saturate(op.activation, output);
    let has_end = if output == Element::U8 { end == End::Unsigned8 } else { end != End::Accumulators };
    let alike = a == b && a == output && a != Element::I16;
    let is_sum = matches!(op.kind, BinaryKind::Add | BinaryKind::Sub);
    is_sum && alike && has_end && op.a_shift.max(op.b_shift) <= MAX_FACTOR_SHIFT && op.right_shift >= 0
}
