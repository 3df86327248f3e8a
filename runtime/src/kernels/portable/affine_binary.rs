use crate::arithmetic::{multiply, saturate};
use crate::format::{AffineBinary, AffineBinaryKind};
use crate::kernels::{InOut, View};

/// Left shift of an addition's operands before they are brought to one step. Spec 4.20.
pub(crate) const HEADROOM: u32 = 20;

/// Two tensors of the affine scheme, code by code. Spec 4.20.
///
/// a_output  `[H, W, C]`  codes of the first operand, and of the result, which may lie in its place
/// b         `[H, W, C]`  codes; `None` where it is the first operand
pub fn affine_binary(op: &AffineBinary, mut a_output: InOut<'_>, b: Option<View<'_>>) {
    a_output.map(|index, a| affine_code(op, a, b.map_or(a, |b| b.code(index))));
}

/// The code of two codes.
#[inline]
pub(crate) fn affine_code(op: &AffineBinary, a: i32, b: i32) -> i32 {
    let (a, b) = (a - i32::from(op.a.zero), b - i32::from(op.b.zero));
    let aligned = |x: i32, multiplier, shift| multiply(x << HEADROOM, multiplier, shift);
    let acc = match op.kind {
        AffineBinaryKind::Mul => a.wrapping_mul(b),
        AffineBinaryKind::Add => {
            aligned(a, op.a.multiplier, op.a.shift).wrapping_add(aligned(b, op.b.multiplier, op.b.shift))
        }
        AffineBinaryKind::Sub => {
            aligned(a, op.a.multiplier, op.a.shift).wrapping_sub(aligned(b, op.b.multiplier, op.b.shift))
        }
    };
    let code = multiply(acc, op.output.multiplier, op.output.shift).saturating_add(op.output.zero.into());
    saturate(code, op.activation)
}
