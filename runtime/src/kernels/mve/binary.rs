use super::{arm, has_sum};
use crate::format::{Binary, Element};
use crate::kernels::{InOut, View};

/// Sums of codes of one byte, eight at a time. Spec 4.6. False for other operands: then nothing is written.
pub fn binary(op: &Binary, a_output: &mut InOut<'_>, b: Option<&View<'_>>) -> bool {
    let a_element = a_output.operand_element();
    let b_element = b.map_or(a_element, |b| b.element());
    if !has_sum(op, [a_element, b_element, a_output.element()]) {
        return false;
    }
    let shifts = (op.a_shift, op.b_shift, -i32::from(op.right_shift));
    let b = b.map(|b| b.bytes);
    let (a, output) = match a_output {
        InOut::InPlace(output, _) => (None, output),
        InOut::Apart(a, output) => (Some(a.bytes), output),
    };
    arm::add(a_element == Element::U8, a, b, output.bytes, shifts, op.activation);
    true
}
