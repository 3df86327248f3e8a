use super::dispatch::by_element;
use super::dot;
use crate::codes::Codes;
use crate::format::{CONVOLUTIONS, Element, FullyConnected, Links};
use crate::kernels::{Code, ViewMut, WeightCodes, by_width};

/// Fully connected layer. Spec 4.3.
///
/// input    `[H * W * C_IN]`         codes at the input's step, NHWC order
/// weights  `[C_OUT, H * W * C_IN]`  2, 4, 8 or 16 bits
/// bias     `[C_OUT]`                i32, rounding constant included
/// output   `[C_OUT]`                codes at the output's step
pub fn fully_connected<const LINKS: Links>(op: &FullyConnected<'_>, input: Codes<'_>, mut output: ViewMut<'_>) {
    let output = &mut output;
    // `Model::parse_linked` has refused other widths.
    by_element!(LINKS, input, |x| by_width!(LINKS, op.weights, |w| typed::<LINKS, _, _>(op, x, w, output), else ()));
}

fn typed<const LINKS: Links, X: Code, W: WeightCodes>(
    op: &FullyConnected<'_>,
    input: &[X],
    w: W,
    output: &mut ViewMut<'_>,
) {
    for (oc, bias) in op.weights.biases().enumerate() {
        let w = w.from(oc * input.len());
        // Beside convolutions, the flash of a faster loop is worth more than its time.
        let sum = if LINKS & CONVOLUTIONS == 0 { w.sum_of_products(input) } else { dot::<LINKS, _>(Some(input), 0, w) };
        let acc = bias.wrapping_add(sum);
        output.linked_put::<LINKS>(oc, op.weights.epilogue.channel(oc).apply::<LINKS>(acc, op.activation));
    }
}
