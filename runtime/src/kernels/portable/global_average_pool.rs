use crate::arithmetic::{requantize, rounding};
use crate::format::GlobalAveragePool;
use crate::kernels::{View, ViewMut};

/// Mean over rows and columns, by a reciprocal: `(sum * m + half) >> n`. Spec 4.5.
///
/// input    `[H, W, C]`  i8
/// output   `[1, 1, C]`  i8
pub fn global_average_pool(op: &GlobalAveragePool, input: View<'_>, output: ViewMut<'_>) {
    let channels = usize::from(input.shape.c).max(1);
    for (c, code) in output.codes.iter_mut().enumerate() {
        let column = input.codes.get(c..).unwrap_or_default().iter().step_by(channels);
        let sum: i32 = column.map(|x| i32::from(*x)).sum();
        let acc = sum * op.multiplier + rounding(op.right_shift);
        *code = requantize(acc, op.right_shift, op.activation.min, op.activation.max);
    }
}
