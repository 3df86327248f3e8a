use super::dot;
use crate::arithmetic::requantize;
use crate::format::FullyConnected;
use crate::kernels::{View, ViewMut};

/// Fully connected layer. Spec 4.3.
///
/// input    `[H * W * C_IN]`         i8, NHWC order
/// weights  `[C_OUT, H * W * C_IN]`  i8
/// bias     `[C_OUT]`                i32, rounding constant included
/// output   `[C_OUT]`                i8
pub fn fully_connected(op: &FullyConnected<'_>, input: View<'_>, output: ViewMut<'_>) {
    let rows = op.weights.codes().chunks_exact(input.codes.len().max(1));
    for ((code, row), channel) in output.codes.iter_mut().zip(rows).zip(op.weights.channels()) {
        let acc = channel.bias + dot(input.codes, row);
        *code = requantize(acc, channel.right_shift, op.activation.min, op.activation.max);
    }
}
