//! The arithmetic once more, as the spec words it and nothing else: one output code at a time, in
//! i128, with no folded constants, no model file and no code of the runtime's.

use std::vec::Vec;

use stepshift_runtime::format::{Shape, Window};
use stepshift_trainer::export::{FixedPointLayer, FixedPointNetwork, FixedPointOp, FixedPointWeights, reciprocal};

/// Codes of every tensor, input first, each `[H, W, C]`.
#[must_use]
pub fn evaluate(network: &FixedPointNetwork, input: &[i8]) -> Vec<Vec<i8>> {
    let mut tensors = std::vec![input.to_vec()];
    for layer in &network.layers {
        let shape = layer.output.shape;
        let operands: Vec<Operand<'_>> = layer
            .inputs
            .iter()
            .map(|tensor| Operand {
                shape: network.tensor(*tensor).shape,
                exponent: network.tensor(*tensor).exponent.into(),
                codes: &tensors[*tensor],
            })
            .collect();
        let codes = positions(shape).map(|(y, x, c)| output_code(layer, &operands, y, x, c)).collect();
        tensors.push(codes);
    }
    tensors
}

/// A tensor that a layer reads.
struct Operand<'a> {
    shape: Shape,
    exponent: i32,
    codes: &'a [i8],
}

impl Operand<'_> {
    /// The code at a place, `None` in the padding.
    fn at(&self, y: i64, x: i64, c: usize) -> Option<i128> {
        let inside = (0..i64::from(self.shape.h)).contains(&y) && (0..i64::from(self.shape.w)).contains(&x);
        let index = (y * i64::from(self.shape.w) + x) * i64::from(self.shape.c) + c as i64;
        inside.then(|| self.codes[index as usize].into())
    }
}

/// Row, column and channel of every code.
fn positions(shape: Shape) -> impl Iterator<Item = (i64, i64, usize)> {
    let (h, w, c) = (i64::from(shape.h), i64::from(shape.w), usize::from(shape.c));
    (0..h).flat_map(move |y| (0..w).flat_map(move |x| (0..c).map(move |c| (y, x, c))))
}

fn output_code(layer: &FixedPointLayer, operands: &[Operand<'_>], y: i64, x: i64, c: usize) -> i8 {
    let input = &operands[0];
    let out = i32::from(layer.output.exponent);
    let code = match &layer.op {
        FixedPointOp::Conv2d { window, weights } => {
            let in_ch = usize::from(input.shape.c);
            let mut acc = i128::from(weights.bias[c]);
            for (tap, (iy, ix)) in taps(window, y, x).enumerate() {
                for ic in 0..in_ch {
                    let w = i128::from(weights.codes[(c * taps_len(window) + tap) * in_ch + ic]);
                    acc += input.at(iy, ix, ic).unwrap_or(0) * w;
                }
            }
            rescale(acc, accumulator_exponent(input, weights, c), out)
        }
        FixedPointOp::DepthwiseConv2d { window, weights } => {
            let out_ch = usize::from(layer.output.shape.c);
            let ic = c / (out_ch / usize::from(input.shape.c));
            let mut acc = i128::from(weights.bias[c]);
            for (tap, (iy, ix)) in taps(window, y, x).enumerate() {
                acc += input.at(iy, ix, ic).unwrap_or(0) * i128::from(weights.codes[tap * out_ch + c]);
            }
            rescale(acc, accumulator_exponent(input, weights, c), out)
        }
        FixedPointOp::FullyConnected { weights } => {
            let row = &weights.codes[c * input.codes.len()..][..input.codes.len()];
            let products = row.iter().zip(input.codes).map(|(w, x)| i128::from(*w) * i128::from(*x));
            let acc = i128::from(weights.bias[c]) + products.sum::<i128>();
            rescale(acc, accumulator_exponent(input, weights, c), out)
        }
        FixedPointOp::MaxPool2d { window } => {
            let inside = taps(window, y, x).filter_map(|(iy, ix)| input.at(iy, ix, c));
            inside.max().expect("the window meets the input")
        }
        FixedPointOp::GlobalAveragePool => {
            let area = usize::from(input.shape.h) * usize::from(input.shape.w);
            let r = reciprocal(area, input.exponent as i8, layer.output.exponent).expect("legal exponents");
            let sum: i128 = input.codes.iter().skip(c).step_by(input.shape.c.into()).map(|x| i128::from(*x)).sum();
            rescale(sum * i128::from(r.multiplier), 0, r.right_shift.into())
        }
        FixedPointOp::Add => {
            let common = operands[0].exponent.min(operands[1].exponent);
            let aligned =
                |operand: &Operand<'_>| operand.at(y, x, c).expect("one shape") << (operand.exponent - common);
            rescale(aligned(&operands[0]) + aligned(&operands[1]), common, out)
        }
        FixedPointOp::Relu => input.at(y, x, c).expect("one shape").max(0),
    };
    code.clamp(if layer.relu { 0 } else { -128 }, 127) as i8
}

/// Input rows and columns under the window, kernel row by kernel row.
fn taps(window: &Window, y: i64, x: i64) -> impl Iterator<Item = (i64, i64)> {
    let top = y * i64::from(window.stride_h) - i64::from(window.pad_top);
    let left = x * i64::from(window.stride_w) - i64::from(window.pad_left);
    let (h, w) = (i64::from(window.kernel_h), i64::from(window.kernel_w));
    (0..h).flat_map(move |ky| (0..w).map(move |kx| (top + ky, left + kx)))
}

fn taps_len(window: &Window) -> usize {
    usize::from(window.kernel_h) * usize::from(window.kernel_w)
}

fn accumulator_exponent(input: &Operand<'_>, weights: &FixedPointWeights, channel: usize) -> i32 {
    input.exponent + i32::from(weights.exponents[channel])
}

/// `floor(acc * 2^(from - to) + 1/2)`.
fn rescale(acc: i128, from: i32, to: i32) -> i128 {
    if from >= to { acc << (from - to) } else { (2 * acc + (1 << (to - from))) >> (to - from + 1) }
}
