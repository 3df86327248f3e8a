use super::flip;
use crate::arithmetic;
use crate::format::Mean;
use crate::kernels::{View, ViewMut};

/// Mean over rows and columns: the global average pool. Spec 4.5.
///
/// input   `[H, W, C]`  codes
/// output  `[1, 1, C]`  codes
pub fn mean(op: &Mean, input: View<'_>, output: &mut ViewMut<'_>) -> bool {
    let Some(flip) = flip(input.element()).filter(|_| op.axes == Mean::GLOBAL) else { return false };
    let channels = usize::from(input.shape.c).max(1);
    let codes = input.bytes;
    let zeros = i32::from(flip).wrapping_mul((codes.len() / channels) as i32);
    for channel in 0..channels {
        let column = codes.get(channel..).unwrap_or_default().iter().step_by(channels);
        let sum = column.fold(0, |sum: i32, byte| sum.wrapping_add((byte ^ flip).into())).wrapping_sub(zeros);
        output.put(channel, arithmetic::mean(sum, op.multiplier, op.right_shift, op.activation));
    }
    true
}
