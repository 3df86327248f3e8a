use super::instructions::{First, add_scaled};
use super::layer::{has_saturate, linked_saturate};
use super::scale::LEAST_MULTIPLIER;
use super::tile::End;
#[cfg(not(stepshift_backend = "dsp"))]
use super::tile_twin::saturated;
#[cfg(not(stepshift_backend = "dsp"))]
use crate::arithmetic::multiply;
use crate::format::{AffineBinary, AffineBinaryKind, AffineOperand, Case, Element, Links};
#[cfg(not(stepshift_backend = "dsp"))]
use crate::kernels::portable::HEADROOM;
use crate::kernels::{InOut, View};

/// What an addition does with two codes: the operand of the greater scale is halved, the other one multiplied.
#[derive(Debug, Clone, Copy)]
pub(in crate::kernels) struct ScaledSum {
    /// Operands have a sign.
    pub(in crate::kernels) signed: bool,
    /// The first operand is the one that is halved.
    pub(in crate::kernels) first_is_wide: bool,
    /// Codes of 0.
    pub(in crate::kernels) narrow_zero: i16,
    pub(in crate::kernels) wide_zero: i16,
    /// Q31, at least `2^30`; right shift.
    pub(in crate::kernels) multiplier: i32,
    pub(in crate::kernels) right_shift: u8,
    /// The result's; its right shift is at least 1.
    pub(in crate::kernels) output_multiplier: i32,
    pub(in crate::kernels) output_right_shift: u8,
    pub(in crate::kernels) output_zero: i16,
    /// Not [`End::Accumulators`].
    pub(super) end: End,
}

impl ScaledSum {
    /// Of an addition that [`has_affine_sum`].
    pub(in crate::kernels) fn new<const LINKS: Links>(op: &AffineBinary, element: Element) -> Self {
        let (wide, narrow) = by_scale(op);
        Self {
            signed: element == Element::I8,
            first_is_wide: is_wide(&op.a),
            narrow_zero: narrow.zero,
            wide_zero: wide.zero,
            multiplier: narrow.multiplier,
            right_shift: narrow.shift.unsigned_abs(),
            output_multiplier: op.output.multiplier,
            output_right_shift: op.output.shift.unsigned_abs(),
            output_zero: op.output.zero,
            end: linked_saturate::<LINKS>(op.activation, element),
        }
    }

    /// The sum of two codes.
    #[cfg(not(stepshift_backend = "dsp"))]
    pub(super) fn code(&self, a: i32, b: i32) -> i32 {
        let (wide, narrow) = if self.first_is_wide { (a, b) } else { (b, a) };
        let left = |shift: u8| 0_i8.wrapping_sub_unsigned(shift);
        let narrow = (narrow - i32::from(self.narrow_zero)) << HEADROOM;
        let wide = (wide - i32::from(self.wide_zero)) << (HEADROOM - 1);
        let sum = wide.wrapping_add(multiply(narrow, self.multiplier, left(self.right_shift)));
        let code = multiply(sum, self.output_multiplier, left(self.output_right_shift));
        saturated(code.wrapping_add(self.output_zero.into()), self.end)
    }
}

/// The operand of the greater scale.
fn is_wide(operand: &AffineOperand) -> bool {
    (operand.multiplier, operand.shift) == (LEAST_MULTIPLIER, 0)
}

/// The operands, that of the greater scale first.
fn by_scale(op: &AffineBinary) -> (&AffineOperand, &AffineOperand) {
    if is_wide(&op.a) { (&op.a, &op.b) } else { (&op.b, &op.a) }
}

/// Whether the instructions have the sum of two tensors of an element, in a third of it.
pub fn has_affine_sum(op: &AffineBinary, element: Element) -> bool {
    let (wide, narrow) = by_scale(op);
    let scales = is_wide(wide)
        && narrow.multiplier >= LEAST_MULTIPLIER
        && (-31..=0).contains(&narrow.shift)
        && op.output.multiplier >= LEAST_MULTIPLIER
        && (-31..0).contains(&op.output.shift);
    let zeros = [op.a.zero, op.b.zero].iter().all(|zero| (element.min()..=element.max()).contains(zero));
    let has_end = has_saturate(op.activation, element);
    op.kind == AffineBinaryKind::Add && element != Element::I16 && has_end && scales && zeros
}

/// Sum of two tensors of one element of 8 bits in the affine scheme; false for others, which it leaves alone. Spec 4.20.
///
/// a_output  `[H, W, C]`  codes of the first operand, and of the result, which may lie in its place
/// b         `[H, W, C]`  codes
#[must_use]
pub fn affine_binary<const LINKS: Links>(op: &AffineBinary, a_output: &mut InOut<'_>, b: Option<&View<'_>>) -> bool {
    let Some(b) = b else { return false };
    let element = a_output.element();
    let alike = a_output.operand_element() == element && b.element() == element;
    if Case::Operator.is_in(LINKS) && !(alike && has_affine_sum(op, element)) {
        return false;
    }
    let (first, output) = First::of(a_output);
    add_scaled::<LINKS>(&ScaledSum::new::<LINKS>(op, element), &first, b.bytes, output.bytes);
    true
}
