use super::dispatch::by_element;
use crate::arithmetic::saturate;
use crate::format::{Element, Links, MaxPool2d};
use crate::kernels::window::{Span, positions};
use crate::kernels::{Code, Typed, View, ViewMut};

/// Maximum over a window; padding never wins. Spec 4.4.
///
/// input    `[H, W, C]`          codes
/// output   `[H_OUT, W_OUT, C]`  codes of the input's element and step
pub fn max_pool2d<const LINKS: Links>(op: &MaxPool2d, input: View<'_>, mut output: ViewMut<'_>) {
    let output = &mut output;
    by_element!(LINKS, input, |x| typed::<LINKS, _>(op, x, output));
}

fn typed<const LINKS: Links, X: Code>(op: &MaxPool2d, input: Typed<'_, X>, output: &mut ViewMut<'_>) {
    let channels = usize::from(output.shape.c).max(1);
    let mut index = 0;
    for (oy, ox) in positions(output) {
        let rows = Span::rows::<LINKS>(&op.window, input.shape, oy);
        let columns = Span::columns::<LINKS>(&op.window, input.shape, ox);
        for c in 0..channels {
            let mut greatest = i32::MIN;
            for row in 0..rows.len {
                let run = input.run(rows.input + row, columns.input, columns.len).get(c..).unwrap_or_default();
                for x in run.iter().step_by(channels) {
                    greatest = greatest.max(x.get());
                }
            }
            output.linked_put::<LINKS>(index, saturate(greatest, op.activation));
            index += 1;
        }
    }
}
