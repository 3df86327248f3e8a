use super::window::{Span, positions};
use crate::arithmetic::saturate;
use crate::format::MaxPool2d;
use crate::kernels::{View, ViewMut};

/// Maximum over a window; padding never wins. Spec 4.4.
///
/// input    `[H, W, C]`          i8
/// output   `[H_OUT, W_OUT, C]`  i8, the input's exponent
pub fn max_pool2d(op: &MaxPool2d, input: View<'_>, output: ViewMut<'_>) {
    let channels = usize::from(output.shape.c).max(1);
    for (pixel, (oy, ox)) in output.codes.chunks_exact_mut(channels).zip(positions(output.shape)) {
        let rows = Span::rows(&op.window, input.shape, oy);
        let columns = Span::columns(&op.window, input.shape, ox);
        pixel.fill(i8::MIN);
        for row in 0..rows.len {
            let run = input.run(rows.input + row, columns.input, columns.len);
            for x in run.chunks_exact(channels) {
                for (code, x) in pixel.iter_mut().zip(x) {
                    *code = (*code).max(*x);
                }
            }
        }
        for code in pixel {
            *code = saturate((*code).into(), op.activation.min, op.activation.max);
        }
    }
}
