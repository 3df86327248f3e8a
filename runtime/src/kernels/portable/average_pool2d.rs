use super::window::{Span, positions};
use crate::arithmetic::{requantize, rounding};
use crate::format::AveragePool2d;
use crate::kernels::{View, ViewMut};

/// Mean over the part of a window that is inside the input: `(sum * m + half) >> n`. Spec 4.5.
///
/// input        `[H, W, C]`          i8
/// multipliers  `[K_H * K_W]`        i32, by the number of codes in the mean
/// output       `[H_OUT, W_OUT, C]`  i8
pub fn average_pool2d(op: &AveragePool2d<'_>, input: View<'_>, output: ViewMut<'_>) {
    let channels = usize::from(output.shape.c).max(1);
    for (pixel, (oy, ox)) in output.codes.chunks_exact_mut(channels).zip(positions(output.shape)) {
        let rows = Span::rows(&op.window, input.shape, oy);
        let columns = Span::columns(&op.window, input.shape, ox);
        let multiplier = op.multiplier(rows.len * columns.len).unwrap_or(0);
        for (c, code) in pixel.iter_mut().enumerate() {
            let mut sum = 0;
            for row in 0..rows.len {
                let run = input.run(rows.input + row, columns.input, columns.len).get(c..).unwrap_or_default();
                sum += run.iter().step_by(channels).map(|x| i32::from(*x)).sum::<i32>();
            }
            let acc = sum * multiplier + rounding(op.right_shift);
            *code = requantize(acc, op.right_shift, op.activation.min, op.activation.max);
        }
    }
}
