//! The arithmetic once more, as the spec words it and nothing else: one output code at a time, in
//! i128, with no folded constants, no model file and no code of the runtime's.

use std::vec::Vec;

use stepshift_runtime::format::{BinaryKind, Shape, Window};
use stepshift_trainer::export::tables::exponentials;
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
        FixedPointOp::Conv2d { window, groups, weights } => {
            let in_ch = usize::from(input.shape.c / groups);
            let group = c / usize::from(layer.output.shape.c / groups);
            let mut acc = i128::from(weights.bias[c]);
            for (tap, (iy, ix)) in taps(window, y, x).enumerate() {
                for ic in 0..in_ch {
                    let w = i128::from(weights.codes[(c * window.taps() + tap) * in_ch + ic]);
                    acc += input.at(iy, ix, group * in_ch + ic).unwrap_or(0) * w;
                }
            }
            rescale(acc, accumulator_exponent(input, weights, c), out)
        }
        FixedPointOp::TransposeConv2d { window, weights } => {
            let acc = i128::from(weights.bias[c]) + scattered(window, weights, input, y, x, c);
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
        FixedPointOp::AveragePool2d { window } => {
            let inside: Vec<i128> = taps(window, y, x).filter_map(|(iy, ix)| input.at(iy, ix, c)).collect();
            // floor(2^23 / count + 1/2)
            let count = inside.len() as i128;
            let multiplier = ((1 << 24) + count) / (2 * count);
            rescale(inside.iter().sum::<i128>() * multiplier, input.exponent - 23, out)
        }
        FixedPointOp::Binary(BinaryKind::Mul) => {
            let product = input.at(y, x, c).expect("inside") * operands[1].at(y, x, c).expect("one shape");
            rescale(product, input.exponent + operands[1].exponent, out)
        }
        FixedPointOp::Binary(kind) => {
            let common = operands[0].exponent.min(operands[1].exponent);
            let aligned =
                |operand: &Operand<'_>| operand.at(y, x, c).expect("one shape") << (operand.exponent - common);
            let (a, b) = (aligned(&operands[0]), aligned(&operands[1]));
            let acc = match kind {
                BinaryKind::Sub => a - b,
                BinaryKind::Minimum => a.min(b),
                BinaryKind::Maximum => a.max(b),
                _ => a + b,
            };
            rescale(acc, common, out)
        }
        FixedPointOp::Clip => input.at(y, x, c).expect("one shape"),
        FixedPointOp::Rescale => rescale(input.at(y, x, c).expect("one shape"), input.exponent, out),
        FixedPointOp::LeakyRelu { slopes, slope_bits } => {
            let x = input.at(y, x, c).expect("one shape");
            let slope = if x < 0 { i128::from(slopes[c % slopes.len()]) } else { 1 << slope_bits };
            rescale(x * slope, input.exponent - i32::from(*slope_bits), out)
        }
        FixedPointOp::Table { codes } => codes[(input.at(y, x, c).expect("one shape") + 128) as usize].into(),
        FixedPointOp::Softmax => {
            let table = exponentials(input.exponent as i8);
            let channels = 0..usize::from(input.shape.c);
            let codes: Vec<i128> = channels.map(|c| input.at(y, x, c).expect("inside")).collect();
            let greatest = codes.iter().max().expect("there are channels");
            let part = |code: &i128| i128::from(table[(greatest - code) as usize]);
            // floor(128 * t / sum + 1/2)
            let sum: i128 = codes.iter().map(part).sum();
            return ((256 * part(&codes[c]) + sum) / (2 * sum)).min(127) as i8;
        }
        FixedPointOp::Concat { axis } => {
            let (operand, place) = part(operands, *axis, [y, x, c as i64]);
            let [y, x, c] = place;
            rescale(operand.at(y, x, c as usize).expect("inside"), operand.exponent, out)
        }
        FixedPointOp::Slice { start } => {
            let [top, left, first] = start.map(i64::from);
            input.at(y + top, x + left, c + first as usize).expect("inside")
        }
        FixedPointOp::Pad { before, value } => {
            let [top, left, first] = before.map(i64::from);
            let channel = usize::try_from(c as i64 - first).ok().filter(|c| *c < usize::from(input.shape.c));
            let inside = channel.and_then(|channel| input.at(y - top, x - left, channel));
            inside.unwrap_or_else(|| i128::from(*value))
        }
        FixedPointOp::Reshape => {
            let shape = layer.output.shape;
            let index = (y as usize * usize::from(shape.w) + x as usize) * usize::from(shape.c) + c;
            input.codes[index].into()
        }
        FixedPointOp::Transpose { order } => {
            let mut place = [0; 3];
            for (axis, index) in order.iter().zip([y, x, c as i64]) {
                place[usize::from(*axis)] = index;
            }
            input.at(place[0], place[1], place[2] as usize).expect("inside")
        }
        FixedPointOp::UpsampleNearest => input.at(y / 2, x / 2, c).expect("inside"),
        FixedPointOp::UpsampleBilinear => {
            let rows = neighbours(y, input.shape.h.into());
            let columns = neighbours(x, input.shape.w.into());
            let pairs = rows.iter().flat_map(|row| columns.iter().map(move |column| (row, column)));
            let acc: i128 =
                pairs.map(|((iy, row), (ix, column))| row * column * input.at(*iy, *ix, c).expect("inside")).sum();
            rescale(acc, input.exponent - 4, out)
        }
    };
    if !clips(&layer.op) {
        return code.clamp(-128, 127) as i8;
    }
    code.clamp(layer.activation.min.into(), layer.activation.max.into()) as i8
}

/// True where the layer ends in its activation: tables and moved codes are what they are.
fn clips(op: &FixedPointOp) -> bool {
    !matches!(
        op,
        FixedPointOp::Table { .. }
            | FixedPointOp::Slice { .. }
            | FixedPointOp::Pad { .. }
            | FixedPointOp::Reshape
            | FixedPointOp::Transpose { .. }
            | FixedPointOp::UpsampleNearest
    )
}

/// The products of a transposed convolution that fall on an output, kernel entry by kernel entry.
fn scattered(window: &Window, weights: &FixedPointWeights, input: &Operand<'_>, y: i64, x: i64, c: usize) -> i128 {
    let in_ch = usize::from(input.shape.c);
    let mut sum = 0;
    for iy in 0..i64::from(input.shape.h) {
        for ix in 0..i64::from(input.shape.w) {
            let ky = y + i64::from(window.pad_top) - iy * i64::from(window.stride_h);
            let kx = x + i64::from(window.pad_left) - ix * i64::from(window.stride_w);
            let inside = (0..window.kernel_h.into()).contains(&ky) && (0..window.kernel_w.into()).contains(&kx);
            if !inside {
                continue;
            }
            let tap = (ky * i64::from(window.kernel_w) + kx) as usize;
            for ic in 0..in_ch {
                let w = i128::from(weights.codes[(c * window.taps() + tap) * in_ch + ic]);
                sum += w * input.at(iy, ix, ic).expect("inside");
            }
        }
    }
    sum
}

/// The input of a concatenation in which a place lies, and the place there.
fn part<'a, 'b>(operands: &'a [Operand<'b>], axis: u8, place: [i64; 3]) -> (&'a Operand<'b>, [i64; 3]) {
    let axis = usize::from(axis);
    let mut place = place;
    for operand in operands {
        let len = [operand.shape.h, operand.shape.w, operand.shape.c].map(i64::from)[axis];
        if place[axis] < len {
            return (operand, place);
        }
        place[axis] -= len;
    }
    unreachable!("the output is as long as its inputs")
}

/// Input indices around an output index of twice as many, with their weights in quarters.
fn neighbours(index: i64, len: i64) -> [(i64, i128); 2] {
    let near = index.div_euclid(2);
    let far = if index % 2 == 0 { near - 1 } else { near + 1 };
    [(near, 3), (far.clamp(0, len - 1), 1)]
}

/// Input rows and columns under the window, kernel row by kernel row.
fn taps(window: &Window, y: i64, x: i64) -> impl Iterator<Item = (i64, i64)> {
    let top = y * i64::from(window.stride_h) - i64::from(window.pad_top);
    let left = x * i64::from(window.stride_w) - i64::from(window.pad_left);
    let (dy, dx) = (i64::from(window.dilation_h), i64::from(window.dilation_w));
    let (h, w) = (i64::from(window.kernel_h), i64::from(window.kernel_w));
    (0..h).flat_map(move |ky| (0..w).map(move |kx| (top + ky * dy, left + kx * dx)))
}

fn accumulator_exponent(input: &Operand<'_>, weights: &FixedPointWeights, channel: usize) -> i32 {
    input.exponent + i32::from(weights.exponents[channel])
}

/// `floor(acc * 2^(from - to) + 1/2)`.
fn rescale(acc: i128, from: i32, to: i32) -> i128 {
    if from >= to { acc << (from - to) } else { (2 * acc + (1 << (to - from))) >> (to - from + 1) }
}
