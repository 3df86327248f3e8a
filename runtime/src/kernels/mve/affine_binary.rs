use super::arm;
use crate::format::{ALL_LINKS, AffineBinary};
use crate::kernels::dsp::{ScaledSum, has_affine_sum};
use crate::kernels::{InOut, View};

/// Sum of two tensors of one element of 8 bits in the affine scheme, four codes at a time; false for those that the DSP extension
/// has no loop for either, which it leaves alone. Spec 4.20.
///
/// a_output  `[H, W, C]`  codes of the first operand, and of the result, which may lie in its place
/// b         `[H, W, C]`  codes
pub fn affine_binary(op: &AffineBinary, a_output: &mut InOut<'_>, b: Option<&View<'_>>) -> bool {
    let Some(b) = b else { return false };
    let element = a_output.element();
    let alike = a_output.operand_element() == element && b.element() == element;
    if !alike || !has_affine_sum(op, element) {
        return false;
    }
    let (a, output) = match a_output {
        InOut::InPlace(output, _) => (None, output),
        InOut::Apart(a, output) => (Some(a.bytes), output),
    };
    arm::add_scaled(&ScaledSum::new::<ALL_LINKS>(op, element), op.activation, a, b.bytes, output.bytes);
    true
}
