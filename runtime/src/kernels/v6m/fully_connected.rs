use super::flip;
use super::instructions::{Dots, dots};
use super::tile::CHANNELS;
use crate::arithmetic::saturate;
use crate::codes::Codes;
use crate::format::{Epilogue, Fours, FullyConnected, Links};
use crate::kernels::ViewMut;

/// Fully connected layer, weights in [`Fours`]. Spec 4.3.
///
/// input    `[H * W * C_IN]`         codes of 8 bits at the input's step, NHWC order
/// weights  `[C_OUT, H * W * C_IN]`  8 bits, packed
/// bias     `[C_OUT]`                i32, rounding constant and offset included
/// output   `[C_OUT]`                codes at the output's step
pub fn fully_connected<const LINKS: Links>(op: &FullyConnected<'_>, input: Codes<'_>, mut output: ViewMut<'_>) {
    let bytes = input.bytes();
    let four_bytes = CHANNELS * Fours::new(bytes.len()).channel_len();
    let flip = flip(input.element());
    let mut weights = op.weights.codes;
    for channel in (0..op.weights.bias.len() / 4).step_by(CHANNELS) {
        let (four, rest) = weights.split_at(four_bytes.min(weights.len()));
        weights = rest;
        finish::<LINKS>(op, channel, &dots(bytes, four, flip), &mut output);
    }
}

/// Four channels, or as many as there are.
fn finish<const LINKS: Links>(op: &FullyConnected<'_>, first: usize, dots: &Dots, output: &mut ViewMut<'_>) {
    let biases = op.weights.bias.as_chunks().0.get(first..).unwrap_or_default();
    for (index, (sum, bias)) in dots.sums.iter().zip(biases).enumerate() {
        let channel = first + index;
        let acc = i32::from_le_bytes(*bias).wrapping_add(*sum).wrapping_sub(dots.inputs << 7);
        let code = match op.weights.epilogue {
            Epilogue::Shift([shift]) if *shift < 31 => saturate(acc >> shift, op.activation),
            epilogue => epilogue.channel(channel).apply::<LINKS>(acc, op.activation),
        };
        output.put(channel, code);
    }
}
