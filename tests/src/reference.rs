//! The arithmetic once more, as the spec words it and nothing else: one output code at a time, in
//! i128, with no folded constants, no model file and no code of the runtime's.

use std::vec::Vec;

use stepshift_runtime::format::{AffineBinaryKind, BinaryKind, Element, Shape, Window};
use stepshift_trainer::export::tables::exponentials;
use stepshift_trainer::export::{
    FixedPointLayer, FixedPointNetwork, FixedPointOp, FixedPointTensor, FixedPointWeights, quantized_multiplier,
    reciprocal,
};

/// Codes of every tensor, input first, each `[H, W, C]`.
#[must_use]
pub fn evaluate(network: &FixedPointNetwork, input: &[i16]) -> Vec<Vec<i16>> {
    run(network, input, &mut zeros(network))
}

/// As [`evaluate`], of one input after another, with what is kept between them.
#[must_use]
pub fn evaluate_sequence(network: &FixedPointNetwork, inputs: &[Vec<i16>]) -> Vec<Vec<Vec<i16>>> {
    let mut kept = zeros(network);
    inputs.iter().map(|input| run(network, input, &mut kept)).collect()
}

/// What every layer would keep, before the first run.
fn zeros(network: &FixedPointNetwork) -> Vec<Vec<i16>> {
    network.layers.iter().map(|layer| std::vec![layer.output.zero; layer.output.shape.len()]).collect()
}

fn run(network: &FixedPointNetwork, input: &[i16], kept: &mut [Vec<i16>]) -> Vec<Vec<i16>> {
    let mut tensors = std::vec![input.to_vec()];
    for (index, layer) in network.layers.iter().enumerate() {
        let shape = layer.output.shape;
        let operands: Vec<Operand<'_>> = layer
            .inputs
            .iter()
            .map(|tensor| Operand { tensor: network.tensor(*tensor), codes: &tensors[*tensor] })
            .collect();
        let codes: Vec<i16> = match layer.op {
            FixedPointOp::State => kept[index].clone(),
            FixedPointOp::Store => operands[0].codes.to_vec(),
            FixedPointOp::Stream => {
                let all = [&kept[index], operands[0].codes].concat();
                all[all.len() - shape.len()..].to_vec()
            }
            _ => positions(shape).map(|(y, x, c)| output_code(layer, &operands, y, x, c)).collect(),
        };
        match layer.op {
            FixedPointOp::Store => kept[layer.inputs[1] - 1].clone_from(&codes),
            FixedPointOp::Stream => kept[index].clone_from(&codes),
            _ => {}
        }
        tensors.push(codes);
    }
    tensors
}

/// A tensor that a layer reads.
struct Operand<'a> {
    tensor: FixedPointTensor,
    codes: &'a [i16],
}

impl Operand<'_> {
    fn shape(&self) -> Shape {
        self.tensor.shape
    }

    fn exponent(&self) -> i32 {
        self.tensor.exponent.into()
    }

    /// The distance from the code of 0, which padding is.
    fn above_zero(&self, y: i64, x: i64, c: usize) -> i128 {
        self.at(y, x, c).map_or(0, |code| code - i128::from(self.tensor.zero))
    }

    /// The code at a place, `None` in the padding.
    fn at(&self, y: i64, x: i64, c: usize) -> Option<i128> {
        let inside = (0..i64::from(self.shape().h)).contains(&y) && (0..i64::from(self.shape().w)).contains(&x);
        let index = (y * i64::from(self.shape().w) + x) * i64::from(self.shape().c) + c as i64;
        inside.then(|| self.codes[index as usize].into())
    }
}

/// Row, column and channel of every code.
fn positions(shape: Shape) -> impl Iterator<Item = (i64, i64, usize)> {
    let (h, w, c) = (i64::from(shape.h), i64::from(shape.w), usize::from(shape.c));
    (0..h).flat_map(move |y| (0..w).flat_map(move |x| (0..c).map(move |c| (y, x, c))))
}

/// What one mean is over.
fn along(axes: u8, Shape { h, w, c }: Shape) -> Shape {
    let extent = |axis: u8, len: u16| if axes >> axis & 1 == 1 { len } else { 1 };
    Shape { h: extent(0, h), w: extent(1, w), c: extent(2, c) }
}

fn output_code(layer: &FixedPointLayer, operands: &[Operand<'_>], y: i64, x: i64, c: usize) -> i16 {
    let input = &operands[0];
    let out = i32::from(layer.output.exponent);
    let code = match &layer.op {
        FixedPointOp::Conv2d { window, groups, weights } => {
            let in_ch = usize::from(input.shape().c / groups);
            let group = c / usize::from(layer.output.shape.c / groups);
            let mut acc = i128::from(weights.bias[c]);
            for (tap, (iy, ix)) in taps(window, y, x).enumerate() {
                for ic in 0..in_ch {
                    let w = i128::from(weights.codes[(c * window.taps() + tap) * in_ch + ic]);
                    acc += input.above_zero(iy, ix, group * in_ch + ic) * w;
                }
            }
            accumulated(acc, input, weights, c, layer)
        }
        FixedPointOp::TransposeConv2d { window, weights } => {
            let acc = i128::from(weights.bias[c]) + scattered(window, weights, input, y, x, c);
            accumulated(acc, input, weights, c, layer)
        }
        FixedPointOp::DepthwiseConv2d { window, weights } => {
            let out_ch = usize::from(layer.output.shape.c);
            let ic = c / (out_ch / usize::from(input.shape().c));
            let mut acc = i128::from(weights.bias[c]);
            for (tap, (iy, ix)) in taps(window, y, x).enumerate() {
                acc += input.above_zero(iy, ix, ic) * i128::from(weights.codes[tap * out_ch + c]);
            }
            accumulated(acc, input, weights, c, layer)
        }
        FixedPointOp::FullyConnected { weights } => {
            let row = &weights.codes[c * input.codes.len()..][..input.codes.len()];
            let products = row.iter().zip(input.codes).map(|(w, x)| i128::from(*w) * i128::from(x - input.tensor.zero));
            let acc = i128::from(weights.bias[c]) + products.sum::<i128>();
            accumulated(acc, input, weights, c, layer)
        }
        FixedPointOp::MaxPool2d { window } => {
            let inside = taps(window, y, x).filter_map(|(iy, ix)| input.at(iy, ix, c));
            inside.max().expect("the window meets the input")
        }
        FixedPointOp::Mean { axes } => {
            let whole = along(*axes, input.shape());
            let r = reciprocal(whole.len(), input.tensor.exponent, layer.output.exponent).expect("legal exponents");
            let mut sum = 0;
            for (dy, dx, dc) in positions(whole) {
                sum += input.at(y + dy, x + dx, c + dc).expect("inside");
            }
            rescale(sum * i128::from(r.multiplier), 0, r.right_shift.into())
        }
        FixedPointOp::AffineMean { axes } => {
            let whole = along(*axes, input.shape());
            let places = positions(whole);
            let sum: i128 = places.map(|(dy, dx, dc)| input.above_zero(y + dy, x + dx, c + dc)).sum();
            averaged(sum, whole.len() as i128, input.tensor.step() / layer.output.step())
                + i128::from(layer.output.zero)
        }
        FixedPointOp::AffineAveragePool2d { window } => {
            let inside: Vec<i128> = taps(window, y, x).filter_map(|(iy, ix)| input.at(iy, ix, c)).collect();
            let (sum, count) = (inside.iter().sum::<i128>(), inside.len() as i128);
            (2 * sum.abs() + count) / (2 * count) * sum.signum()
        }
        FixedPointOp::AveragePool2d { window } => {
            let inside: Vec<i128> = taps(window, y, x).filter_map(|(iy, ix)| input.at(iy, ix, c)).collect();
            // floor(2^23 / count + 1/2)
            let count = inside.len() as i128;
            let multiplier = ((1 << 24) + count) / (2 * count);
            rescale(inside.iter().sum::<i128>() * multiplier, input.exponent() - 23, out)
        }
        FixedPointOp::Binary(BinaryKind::Mul) => {
            let product = input.at(y, x, c).expect("inside") * operands[1].at(y, x, c).expect("one shape");
            rescale(product, input.exponent() + operands[1].exponent(), out)
        }
        FixedPointOp::Binary(kind) => {
            let common = operands[0].exponent().min(operands[1].exponent());
            let aligned =
                |operand: &Operand<'_>| operand.at(y, x, c).expect("one shape") << (operand.exponent() - common);
            let (a, b) = (aligned(&operands[0]), aligned(&operands[1]));
            let acc = match kind {
                BinaryKind::Sub => a - b,
                BinaryKind::Minimum => a.min(b),
                BinaryKind::Maximum => a.max(b),
                _ => a + b,
            };
            rescale(acc, common, out)
        }
        FixedPointOp::AffineBinary(kind) => {
            let [a, b] = [0, 1].map(|operand| operands[operand].above_zero(y, x, c));
            let [a_step, b_step] = [0, 1].map(|operand| operands[operand].tensor.step());
            let output = layer.output.step();
            let acc = if *kind == AffineBinaryKind::Mul {
                multiplied(a * b, a_step * b_step / output)
            } else {
                let common = 2.0 * a_step.max(b_step);
                let [a, b] = [multiplied(a << 20, a_step / common), multiplied(b << 20, b_step / common)];
                let sum = if *kind == AffineBinaryKind::Add { a + b } else { a - b };
                multiplied(sum, common / (f64::from(1 << 20) * output))
            };
            acc + i128::from(layer.output.zero)
        }
        FixedPointOp::Clip => input.at(y, x, c).expect("one shape"),
        FixedPointOp::Rescale => rescale(input.at(y, x, c).expect("one shape"), input.exponent(), out),
        FixedPointOp::LeakyRelu { slopes, slope_bits } => {
            let x = input.at(y, x, c).expect("one shape");
            let slope = if x < 0 { i128::from(slopes[c % slopes.len()]) } else { 1 << slope_bits };
            rescale(x * slope, input.exponent() - i32::from(*slope_bits), out)
        }
        FixedPointOp::Table { codes } => {
            let place = input.at(y, x, c).expect("one shape") - i128::from(input.tensor.element.min());
            let entry = |place: i128| i128::from(codes[place as usize]);
            if input.tensor.element == Element::I16 {
                let (whole, part) = (place / 128, place % 128);
                (entry(whole) * (128 - part) + entry(whole + 1) * part + 64).div_euclid(128)
            } else {
                entry(place)
            }
        }
        FixedPointOp::Softmax => {
            let table = exponentials(input.tensor.exponent);
            let channels = 0..usize::from(input.shape().c);
            let codes: Vec<i128> = channels.map(|c| input.at(y, x, c).expect("inside")).collect();
            let greatest = codes.iter().max().expect("there are channels");
            let part = |code: &i128| i128::from(table[(greatest - code) as usize]);
            // floor(t / sum * 2^-exponent + 1/2)
            let sum: i128 = codes.iter().map(part).sum();
            let units = 1 << (1 - i32::from(layer.output.exponent));
            (units * part(&codes[c]) + sum) / (2 * sum)
        }
        FixedPointOp::AffineSoftmax => {
            let channels = 0..usize::from(input.shape().c);
            let codes: Vec<i128> = channels.map(|c| input.at(y, x, c).expect("inside")).collect();
            affine_softmax(&codes, c, input.tensor.step()) + i128::from(layer.output.element.min())
        }
        FixedPointOp::Concat { axis } => {
            let (operand, place) = part(operands, *axis, [y, x, c as i64]);
            let [y, x, c] = place;
            rescale(operand.at(y, x, c as usize).expect("inside"), operand.exponent(), out)
        }
        FixedPointOp::Slice { start } => {
            let [top, left, first] = start.map(i64::from);
            input.at(y + top, x + left, c + first as usize).expect("inside")
        }
        FixedPointOp::Pad { before, value } => {
            let [top, left, first] = before.map(i64::from);
            let channel = usize::try_from(c as i64 - first).ok().filter(|c| *c < usize::from(input.shape().c));
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
            let rows = neighbours(y, input.shape().h.into());
            let columns = neighbours(x, input.shape().w.into());
            let pairs = rows.iter().flat_map(|row| columns.iter().map(move |column| (row, column)));
            let acc: i128 =
                pairs.map(|((iy, row), (ix, column))| row * column * input.at(*iy, *ix, c).expect("inside")).sum();
            rescale(acc, input.exponent() - 4, out)
        }
        FixedPointOp::Argmax => {
            let channels = 0..usize::from(input.shape().c);
            let codes: Vec<i128> = channels.map(|c| input.at(y, x, c).expect("inside")).collect();
            let greatest = codes.iter().max().expect("there are channels");
            codes.iter().position(|code| code == greatest).expect("one of them") as i128
        }
        FixedPointOp::State | FixedPointOp::Store | FixedPointOp::Stream => unreachable!("whole tensors"),
        FixedPointOp::PatchInput(_) | FixedPointOp::PatchOutput => unreachable!("the exporter makes them"),
    };
    if !clips(&layer.op) {
        let element = layer.output.element;
        return code.clamp(element.min().into(), element.max().into()) as i16;
    }
    code.clamp(layer.activation.min.into(), layer.activation.max.into()) as i16
}

/// True where the layer ends in its activation: tables and moved codes are what they are.
fn clips(op: &FixedPointOp) -> bool {
    !matches!(
        op,
        FixedPointOp::Table { .. }
            | FixedPointOp::Softmax
            | FixedPointOp::AffineSoftmax
            | FixedPointOp::Argmax
            | FixedPointOp::Slice { .. }
            | FixedPointOp::Pad { .. }
            | FixedPointOp::Reshape
            | FixedPointOp::Transpose { .. }
            | FixedPointOp::UpsampleNearest
    )
}

/// The products of a transposed convolution that fall on an output, kernel entry by kernel entry.
fn scattered(window: &Window, weights: &FixedPointWeights, input: &Operand<'_>, y: i64, x: i64, c: usize) -> i128 {
    let in_ch = usize::from(input.shape().c);
    let mut sum = 0;
    for iy in 0..i64::from(input.shape().h) {
        for ix in 0..i64::from(input.shape().w) {
            let ky = y + i64::from(window.pad_top) - iy * i64::from(window.stride_h);
            let kx = x + i64::from(window.pad_left) - ix * i64::from(window.stride_w);
            let inside = (0..window.kernel_h.into()).contains(&ky) && (0..window.kernel_w.into()).contains(&kx);
            if !inside {
                continue;
            }
            let tap = (ky * i64::from(window.kernel_w) + kx) as usize;
            for ic in 0..in_ch {
                let w = i128::from(weights.codes[(c * window.taps() + tap) * in_ch + ic]);
                sum += w * input.above_zero(iy, ix, ic);
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
        let len = [operand.shape().h, operand.shape().w, operand.shape().c].map(i64::from)[axis];
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

/// From the accumulator of a layer with weights to a code that is not clipped yet, in either scheme.
fn accumulated(acc: i128, input: &Operand<'_>, weights: &FixedPointWeights, c: usize, layer: &FixedPointLayer) -> i128 {
    let exponent = i32::from(weights.exponents[c]);
    let affine = !weights.mantissas.is_empty();
    if !affine && input.tensor.is_power_of_two() && layer.output.is_power_of_two() {
        return rescale(acc, input.exponent() + exponent, layer.output.exponent.into());
    }
    let step = f64::from(weights.mantissas.get(c).copied().unwrap_or(1)) * 2_f64.powi(exponent);
    multiplied(acc, input.tensor.step() * step / layer.output.step()) + i128::from(layer.output.zero)
}

/// `acc * factor` as TensorFlow Lite rounds it: the high half of a doubled product, then a shift, each to the nearest.
fn multiplied(acc: i128, factor: f64) -> i128 {
    let (multiplier, shift) = quantized_multiplier(factor).expect("a legal factor");
    with_factor(acc, multiplier.into(), shift.into())
}

/// `acc * multiplier * 2^(shift - 31)` with the two roundings of spec 3.4.
fn with_factor(acc: i128, multiplier: i128, shift: i32) -> i128 {
    let product = (acc << shift.max(0)) * multiplier;
    // Truncation after a nudge of a half: a tie above zero goes away from it, one below zero towards it.
    let high = (product + if product >= 0 { 1 << 30 } else { 1 - (1 << 30) }) / (1 << 31);
    away_from_zero(high, 1 << (-shift).max(0))
}

/// A sum above zero divided by the count within the factor, as TensorFlow Lite does it. Spec 4.25.
fn averaged(sum: i128, count: i128, factor: f64) -> i128 {
    let (multiplier, shift) = quantized_multiplier(factor).expect("a legal factor");
    let bits = (0..=32).rev().find(|bits| 1 << bits <= count && shift - bits >= -31).expect("0 is one");
    with_factor(sum, (i128::from(multiplier) << bits) / count, i32::from(shift - bits))
}

/// The probability of a channel in units of `2^-8`. Spec 4.26.
fn affine_softmax(codes: &[i128], c: usize, scale: f64) -> i128 {
    let greatest = codes.iter().max().expect("there are channels");
    let exponential = |code: i128| affine_exponential(scale, greatest - code);
    let sum: i128 = codes.iter().map(|code| away_from_zero(exponential(*code), 1 << 12)).sum();
    // sum * 2^zeros is from 2^31 to 2^32: the denominator, 1 to 2.
    let zeros = (0..32).find(|zeros| sum << zeros >= 1 << 31).expect("a sum above 0");
    let half = (sum << zeros) / 2;
    let mut x = 1_515_870_810 + up(half * -1_010_580_540);
    for _ in 0..3 {
        x += 4 * up(x * ((1 << 29) - up(half * x)));
    }
    let reciprocal = (2 * x).min((1 << 31) - 1);
    away_from_zero(up(reciprocal * exponential(codes[c])), 1 << (35 - zeros))
}

/// `exp(-distance * scale)` in units of `2^-31`, as TensorFlow Lite's fixed point has it. Spec 4.26.
///
/// scale  above `2^-26`
#[must_use]
pub fn affine_exponential(scale: f64, distance: i128) -> i128 {
    let units = (scale * 2_f64.powi(26)).min(2_f64.powi(31) - 1.0);
    let (multiplier, shift) = quantized_multiplier(units / 2.0).expect("a legal scale");
    let unit = 1_i128 << (shift + 1);
    if distance * unit > 31 << 26 { 0 } else { negative_power_of_e(up(-distance * unit * i128::from(multiplier))) }
}

/// `exp(a)` in units of `2^-31` for `a` up to 0 in units of `2^-26`. Spec 4.26.
fn negative_power_of_e(a: i128) -> i128 {
    if a == 0 {
        return (1 << 31) - 1;
    }
    let quarter = 1 << 24;
    let rest = a.rem_euclid(quarter) - quarter;
    let y = 32 * rest + (1 << 28);
    let square = up(y * y);
    let (cube, fourth) = (up(square * y), up(square * square));
    let tail = up((away_from_zero(fourth, 4) + cube) * 715_827_883) + square;
    let start = 1_895_147_668 + up(1_895_147_668 * (y + away_from_zero(tail, 2)));
    let quarters = (rest - a) / quarter;
    let powers = [1_672_461_947, 1_302_514_674, 790_015_084, 290_630_308, 39_332_535, 720_401, 242];
    powers.iter().enumerate().filter(|(bit, _)| quarters >> bit & 1 == 1).fold(start, |v, (_, power)| up(v * power))
}

/// `floor(product / 2^31 + 1/2)`.
fn up(product: i128) -> i128 {
    (2 * product + (1 << 31)).div_euclid(1 << 32)
}

/// `x / unit` to the nearest, half away from zero.
fn away_from_zero(x: i128, unit: i128) -> i128 {
    (2 * x.abs() + unit) / (2 * unit) * x.signum()
}

/// `floor(acc * 2^(from - to) + 1/2)`.
fn rescale(acc: i128, from: i32, to: i32) -> i128 {
    if from >= to { acc << (from - to) } else { (2 * acc + (1 << (to - from))) >> (to - from + 1) }
}
