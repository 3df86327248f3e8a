use super::flip;
use crate::arithmetic::saturate;
use crate::format::{ALL_LINKS, Element, MaxPool2d};
use crate::kernels::window::{Span, positions};
use crate::kernels::{View, ViewMut};

/// Maximum over a window; padding never wins. Spec 4.4.
///
/// input   `[H, W, C]`          codes
/// output  `[H_OUT, W_OUT, C]`  codes of the input's element and step
pub fn max_pool2d(op: &MaxPool2d, input: View<'_>, output: &mut ViewMut<'_>) -> bool {
    let element = input.element();
    let Some(flip) = flip(element) else { return false };
    let channels = usize::from(output.shape.c).max(1);
    let bounded = (op.activation.min, op.activation.max) != (element.min(), element.max());
    for ((oy, ox), greatest) in positions(output).zip(output.bytes.chunks_exact_mut(channels)) {
        let rows = Span::rows::<ALL_LINKS>(&op.window, input.shape, oy);
        let columns = Span::columns::<ALL_LINKS>(&op.window, input.shape, ox);
        // The least code, than which no input is less.
        greatest.fill(flip);
        for row in 0..rows.len {
            let start = input.place(rows.input + row, columns.input);
            for column in 0..columns.len {
                let codes = input.bytes.get(start + column * channels..).unwrap_or_default();
                for (greatest, code) in greatest.iter_mut().zip(codes) {
                    *greatest = if code ^ flip > *greatest ^ flip { *code } else { *greatest };
                }
            }
        }
        if bounded {
            for code in greatest {
                let value = if element == Element::I8 { code.cast_signed().into() } else { i32::from(*code) };
                [*code, ..] = saturate(value, op.activation).to_le_bytes();
            }
        }
    }
    true
}
