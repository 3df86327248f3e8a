use super::dispatch::by_element;
use crate::arithmetic::{mean, saturate};
use crate::format::{AveragePool2d, Element, Links};
use crate::kernels::window::{Span, positions};
use crate::kernels::{Code, Typed, View, ViewMut};

/// Mean over the part of a window that is inside the input: `(sum * m + half) >> n`. Spec 4.5.
///
/// input        `[H, W, C]`          codes
/// multipliers  `[K_H * K_W]`        i32, by the number of codes in the mean; none in the affine scheme
/// output       `[H_OUT, W_OUT, C]`  codes
pub fn average_pool2d<const LINKS: Links>(op: &AveragePool2d<'_>, input: View<'_>, mut output: ViewMut<'_>) {
    let output = &mut output;
    by_element!(LINKS, input, |x| typed::<LINKS, _>(op, x, output));
}

fn typed<const LINKS: Links, X: Code>(op: &AveragePool2d<'_>, input: Typed<'_, X>, output: &mut ViewMut<'_>) {
    let channels = usize::from(output.shape.c).max(1);
    let mut index = 0;
    for (oy, ox) in positions(output) {
        let rows = Span::rows::<LINKS>(&op.window, input.shape, oy);
        let columns = Span::columns::<LINKS>(&op.window, input.shape, ox);
        let count = rows.len * columns.len;
        let multiplier = op.multiplier(count).unwrap_or(0);
        for c in 0..channels {
            let mut sum = 0;
            for row in 0..rows.len {
                let run = input.run(rows.input + row, columns.input, columns.len).get(c..).unwrap_or_default();
                sum += run.iter().step_by(channels).map(|x| x.get()).sum::<i32>();
            }
            let code = if op.divides::<LINKS>() {
                saturate(divide(sum, count), op.activation)
            } else {
                mean(sum, multiplier, op.right_shift, op.activation)
            };
            output.linked_put::<LINKS>(index, code);
            index += 1;
        }
    }
}

/// `sum / count`, half away from zero, as the affine scheme's reference kernel has it.
#[inline]
pub(crate) fn divide(sum: i32, count: usize) -> i32 {
    let count = i32::try_from(count).unwrap_or(i32::MAX);
    let half = if sum > 0 { count / 2 } else { -(count / 2) };
    sum.saturating_add(half).checked_div(count).unwrap_or(0)
}
