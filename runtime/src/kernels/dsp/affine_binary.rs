use super::instructions::{First, add_scaled};
use super::layer::saturate;
use super::scale::LEAST_MULTIPLIER;
use super::tile::End;
#[cfg(not(stepshift_backend = "dsp"))]
use super::tile_twin::saturated;
#[cfg(not(stepshift_backend = "dsp"))]
use crate::arithmetic::multiply;
use crate::format::{AffineBinary, AffineBinaryKind, AffineOperand, Element, Links};
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
    /// The addition that the instructions have.
    pub(in crate::kernels) fn new(op: &AffineBinary, element: Element) -> Option<Self> {
        let end = saturate(op.activation, element);
        let has_end = if element == Element::U8 { end == End::Unsigned8 } else { end != End::Accumulators };
        let is_wide = |operand: &AffineOperand| (operand.multiplier, operand.shift) == (LEAST_MULTIPLIER, 0);
        let first_is_wide = is_wide(&op.a);
        let (wide, narrow) = if first_is_wide { (op.a, op.b) } else { (op.b, op.a) };
        let scales = is_wide(&wide)
            && narrow.multiplier >= LEAST_MULTIPLIER
            && (-31..=0).contains(&narrow.shift)
            && op.output.multiplier >= LEAST_MULTIPLIER
            && (-31..0).contains(&op.output.shift);
        let zeros = [op.a.zero, op.b.zero].iter().all(|zero| (element.min()..=element.max()).contains(zero));
        let has = op.kind == AffineBinaryKind::Add && element != Element::I16 && has_end && scales && zeros;
        has.then_some(Self {
            signed: element == Element::I8,
            first_is_wide,
            narrow_zero: narrow.zero,
            wide_zero: wide.zero,
            multiplier: narrow.multiplier,
            right_shift: narrow.shift.unsigned_abs(),
            output_multiplier: op.output.multiplier,
            output_right_shift: op.output.shift.unsigned_abs(),
            output_zero: op.output.zero,
            end,
        })
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

/// Whether the instructions have the sum of two tensors of an element, in a third of it.
pub fn has_affine_sum(op: &AffineBinary, element: Element) -> bool {
    ScaledSum::new(op, element).is_some()
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
    let Some(sum) = ScaledSum::new(op, element).filter(|_| alike) else { return false };
    let b = b.bytes;
    match a_output {
        InOut::InPlace(output, _) => add_scaled::<LINKS>(&sum, &First::InPlace, b, output.bytes),
        InOut::Apart(a, output) => add_scaled::<LINKS>(&sum, &First::Apart(a.bytes), b, output.bytes),
    }
    true
}
