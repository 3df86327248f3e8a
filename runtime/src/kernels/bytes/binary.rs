use super::flip;
use crate::arithmetic::{requantize, rounding};
use crate::format::{Binary, BinaryKind};
use crate::kernels::{InOut, View};

/// Sum or difference of two tensors that ends in a right shift. Spec 4.6.
///
/// a_output  `[H, W, C]`  codes of the first operand, and of the result, which may lie in its place
/// b         `[H, W, C]`  codes; `None` where it is the first operand
pub fn binary(op: &Binary, a_output: &mut InOut<'_>, b: Option<View<'_>>) -> bool {
    let sign = match op.kind {
        BinaryKind::Add => 1_i32,
        BinaryKind::Sub => -1,
        _ => return false,
    };
    let a_element = a_output.operand_element();
    let b_element = b.map_or(a_element, |b| b.element());
    let (Some(a_flip), Some(b_flip)) = (flip(a_element), flip(b_element)) else { return false };
    if a_output.element().bytes() != 1 || op.right_shift < 0 {
        return false;
    }
    let (a_step, b_step) = (1_i32 << (op.a_shift & 31), sign << (op.b_shift & 31));
    let zeros = a_step.wrapping_mul(a_flip.into()).wrapping_add(b_step.wrapping_mul(b_flip.into()));
    let start = rounding(op.right_shift).wrapping_sub(zeros);
    let code = |a: u8, b: u8| {
        let (a, b) = (i32::from(a ^ a_flip).wrapping_mul(a_step), i32::from(b ^ b_flip).wrapping_mul(b_step));
        let [code, ..] =
            requantize(start.wrapping_add(a).wrapping_add(b), op.right_shift & 31, op.activation).to_le_bytes();
        code
    };
    match (a_output, b) {
        (InOut::InPlace(output, _), Some(b)) => {
            output.bytes.iter_mut().zip(b.bytes).for_each(|(y, b)| *y = code(*y, *b));
        }
        (InOut::InPlace(output, _), None) => output.bytes.iter_mut().for_each(|y| *y = code(*y, *y)),
        (InOut::Apart(a, output), b) => {
            let a = a.bytes;
            let b = b.map_or(a, |b| b.bytes);
            output.bytes.iter_mut().zip(a.iter().zip(b)).for_each(|(y, (a, b))| *y = code(*a, *b));
        }
    }
    true
}
