//! Random networks over every operator: shapes, strides, paddings, exponents, saturating values
//! and ties. A network shrinks towards fewer and plainer layers.

use std::format;
use std::vec::Vec;

use proptest::prelude::*;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use stepshift_runtime::Backend;
use stepshift_runtime::format::{
    Activation, AffineBinaryKind, AffineSoftmax, BinaryKind, Element, Mean, Shape, Softmax, WeightBits, Window,
};
use stepshift_trainer::export::patches::{Patching, stage};
use stepshift_trainer::export::{
    Curve, ExportError, FixedPointLayer, FixedPointNetwork, FixedPointOp, FixedPointTensor, FixedPointWeights, Options,
    Prefer, encode, encode_with,
};
use stepshift_trainer::network::{LEARNED_SLOPE_BITS, Layer, LayerActivation, LayerOp, Network, SLOPE_BITS};

/// Numbers that choose a layer, whatever the shape before it.
#[derive(Debug, Clone)]
struct Choice {
    kind: u8,
    channels: u16,
    kernel: (u8, u8),
    stride: (u8, u8),
    dilation: (u8, u8),
    pad: [u8; 4],
    earlier: usize,
    activation: u8,
}

/// Kinds of layers that a [`Choice`] can take.
const KINDS: u8 = 24;

/// Products in one network: each doubles the exponents, which must stay `i8`.
const MAX_PRODUCTS: usize = 2;

/// Most codes of a tensor: upsampling grows fast.
const MAX_LEN: usize = 4000;

/// Networks of 1 to 8 layers on inputs of up to 9 x 9 x 6.
pub fn networks() -> impl Strategy<Value = Network> {
    let input = (1..=9_u16, 1..=9_u16, 1..=6_u16).prop_map(|(h, w, c)| Shape { h, w, c });
    let layers = proptest::collection::vec(choice(), 1..=8);
    (input, layers).prop_map(|(input, choices)| build(input, &choices))
}

fn choice() -> impl Strategy<Value = Choice> {
    let pad = proptest::array::uniform4(0..4_u8);
    let kernel = (1..=4_u8, 1..=4_u8);
    let dilation = (1..=2_u8, 1..=3_u8);
    (0..KINDS, 1..=9_u16, kernel, (1..=3_u8, 1..=3_u8), dilation, pad, 0..16_usize, 0..4_u8).prop_map(
        |(kind, channels, kernel, stride, dilation, pad, earlier, activation)| Choice {
            kind,
            channels,
            kernel,
            stride,
            dilation,
            pad,
            earlier,
            activation,
        },
    )
}

fn build(input: Shape, choices: &[Choice]) -> Network {
    let mut network = Network { input, layers: Vec::new(), cells: Vec::new() };
    for (index, choice) in choices.iter().enumerate() {
        let shapes: Vec<Shape> =
            core::iter::once(input).chain(network.layers.iter().map(|layer| layer.output)).collect();
        let product = |layer: &&Layer| layer.op == LayerOp::Binary(BinaryKind::Mul);
        let products = network.layers.iter().filter(product).count();
        let layer = layer(format!("layer{index}"), choice, &shapes, products < MAX_PRODUCTS);
        network.layers.push(layer);
    }
    network
}

/// A layer that reads the tensor before it, and an earlier one of the same shape where it takes two.
fn layer(name: std::string::String, choice: &Choice, shapes: &[Shape], may_multiply: bool) -> Layer {
    let last = shapes.len() - 1;
    let input = shapes[last];
    let mut inputs = std::vec![last];
    let (op, output) = match choice.kind {
        0 | 1 | 20 => convolution(choice, input),
        2 => transposed(choice, input),
        3 => (LayerOp::FullyConnected { out_ch: choice.channels }, Shape { h: 1, w: 1, c: choice.channels }),
        4 | 21 => {
            let (window, Shape { h, w, .. }) = window(choice, input, true);
            let multiplier = 1 + choice.channels % 3;
            let op = LayerOp::DepthwiseConv2d { window, multiplier, batch_norm: false };
            (op, Shape { h, w, c: input.c * multiplier })
        }
        5 => {
            let (window, output) = window(choice, input, false);
            (LayerOp::MaxPool2d { window }, output)
        }
        6 => {
            let (window, output) = window(choice, input, false);
            (LayerOp::AveragePool2d { window }, output)
        }
        7 => {
            // Global pools half of the time, the other axes as they come.
            let axes = if choice.channels.is_multiple_of(2) { Mean::GLOBAL } else { 1 + choice.pad[0] % 7 };
            let kept = |axis: u8, len: u16| if axes >> axis & 1 == 1 { 1 } else { len };
            (LayerOp::Mean { axes }, Shape { h: kept(0, input.h), w: kept(1, input.w), c: kept(2, input.c) })
        }
        8 | 9 | 22 => {
            let kinds = [BinaryKind::Add, BinaryKind::Sub, BinaryKind::Minimum, BinaryKind::Maximum, BinaryKind::Mul];
            let kind = kinds[usize::from(choice.channels) % if may_multiply { 5 } else { 4 }];
            inputs.push(earlier(choice, shapes, |shape| shape == input));
            (LayerOp::Binary(kind), input)
        }
        10 => (LayerOp::Rescale, input),
        11 if choice.channels.is_multiple_of(2) => (LayerOp::PRelu { shared: choice.pad[0] == 0 }, input),
        11 => (LayerOp::LeakyRelu { slope: i16::from(choice.pad[0]) * 23 }, input),
        12 | 23 => {
            let curves = [Curve::Sigmoid, Curve::Tanh, Curve::HardSigmoid, Curve::HardSwish, Curve::Gelu];
            (LayerOp::Curve(curves[usize::from(choice.channels) % 5]), input)
        }
        13 => concat(choice, shapes, &mut inputs),
        14 => slice(choice, input),
        15 => {
            let before = [choice.pad[0], choice.pad[1], choice.pad[2]].map(u16::from);
            let after = choice.pad.map(|len| u16::from(len / 2));
            let grown = |len: u16, axis: usize| len + before[axis] + after[axis];
            let output = Shape { h: grown(input.h, 0), w: grown(input.w, 1), c: grown(input.c, 2) };
            (LayerOp::Pad { before }, output)
        }
        16 => {
            let Shape { h, w, c } = input;
            let orders = [Shape { h: w, w: c, c: h }, Shape { h: 1, w: h * w, c }, Shape { h: h * w, w: c, c: 1 }];
            (LayerOp::Reshape, orders[usize::from(choice.channels) % 3])
        }
        17 => {
            let orders = [[0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]];
            let order = orders[usize::from(choice.channels) % 5];
            let [h, w, c] = order.map(|axis| [input.h, input.w, input.c][usize::from(axis)]);
            (LayerOp::Transpose { order }, Shape { h, w, c })
        }
        18 => (LayerOp::UpsampleNearest, Shape { h: 2 * input.h, w: 2 * input.w, c: input.c }),
        19 => (LayerOp::UpsampleBilinear, Shape { h: 2 * input.h, w: 2 * input.w, c: input.c }),
        _ => (LayerOp::Clip, input),
    };
    if output.len() > MAX_LEN {
        let activation = LayerActivation::Relu;
        return Layer { name, inputs: std::vec![last], op: LayerOp::Clip, activation, output: input };
    }
    let activation = activation(choice, &op);
    Layer { name, inputs, op, activation, output }
}

/// One of the activations, for the operators that end in one.
fn activation(choice: &Choice, op: &LayerOp) -> LayerActivation {
    let moves = op.keeps_exponent() && *op != LayerOp::Clip || matches!(op, LayerOp::Curve(_));
    match choice.activation {
        _ if moves => LayerActivation::None,
        1 => LayerActivation::Relu,
        2 => LayerActivation::Relu6,
        3 => LayerActivation::Clip { low: -1.3, high: 2.25 },
        _ => LayerActivation::None,
    }
}

fn convolution(choice: &Choice, input: Shape) -> (LayerOp, Shape) {
    let (window, Shape { h, w, .. }) = window(choice, input, true);
    let groups = (1..=3).rev().find(|groups| choice.earlier % 2 == 1 && input.c.is_multiple_of(*groups)).unwrap_or(1);
    let out_ch = choice.channels.next_multiple_of(groups);
    (LayerOp::Conv2d { window, out_ch, groups, batch_norm: false }, Shape { h, w, c: out_ch })
}

fn transposed(choice: &Choice, input: Shape) -> (LayerOp, Shape) {
    let (window, _) = window(choice, input, false);
    let cut = window.transposed_size(input.h, input.w).map(|size| (window, size));
    // Padding may cut off everything: then there is none.
    let bare = Window { pad_top: 0, pad_bottom: 0, pad_left: 0, pad_right: 0, ..window };
    let (window, (h, w)) =
        cut.unwrap_or_else(|| (bare, bare.transposed_size(input.h, input.w).expect("nothing is cut off")));
    (
        LayerOp::TransposeConv2d { window, out_ch: choice.channels, batch_norm: false },
        Shape { h, w, c: choice.channels },
    )
}

/// The tensor before and up to two more that fit beside it.
fn concat(choice: &Choice, shapes: &[Shape], inputs: &mut Vec<usize>) -> (LayerOp, Shape) {
    let axis = choice.channels as usize % 3;
    let extents = |shape: Shape| [shape.h, shape.w, shape.c];
    let mut whole = extents(shapes[inputs[0]]);
    for _ in 0..choice.pad[0] % 3 {
        let own = whole;
        let other =
            earlier(choice, shapes, |shape| (0..3).all(|other| other == axis || extents(shape)[other] == own[other]));
        inputs.push(other);
        whole[axis] += extents(shapes[other])[axis];
    }
    let [h, w, c] = whole;
    (LayerOp::Concat { axis: axis as u8 }, Shape { h, w, c })
}

fn slice(choice: &Choice, input: Shape) -> (LayerOp, Shape) {
    let part = |len: u16, start: u8| (u16::from(start) % len, len - u16::from(start) % len);
    let (top, h) = part(input.h, choice.pad[0]);
    let (left, w) = part(input.w, choice.pad[1]);
    let (first, c) = part(input.c, choice.pad[2]);
    (LayerOp::Slice { start: [top, left, first] }, Shape { h, w, c: 1.max(c.div_ceil(2)) })
}

/// An earlier tensor whose shape fits; the last one always does.
fn earlier(choice: &Choice, shapes: &[Shape], fits: impl Fn(Shape) -> bool) -> usize {
    let fitting: Vec<usize> = (0..shapes.len()).filter(|tensor| fits(shapes[*tensor])).collect();
    fitting[choice.earlier % fitting.len()]
}

/// The chosen window, cut down until it fits the input, and the output with the input's channels.
fn window(choice: &Choice, input: Shape, dilated: bool) -> (Window, Shape) {
    let axis = |kernel: u8, dilation: u8, len: u16, before: u8, after: u8| {
        let dilation = if dilated { dilation } else { 1 };
        let span = (kernel - 1) * dilation + 1;
        let (before, after) = (before % span, after % span);
        let longest = len + u16::from(before) + u16::from(after);
        if u16::from(span) <= longest { (kernel, dilation, before, after) } else { (1, dilation, 0, 0) }
    };
    let (kernel_h, dilation_h, pad_top, pad_bottom) =
        axis(choice.kernel.0, choice.dilation.0, input.h, choice.pad[0], choice.pad[1]);
    let (kernel_w, dilation_w, pad_left, pad_right) =
        axis(choice.kernel.1, choice.dilation.1, input.w, choice.pad[2], choice.pad[3]);
    let (stride_h, stride_w) = choice.stride;
    let window = Window {
        kernel_h,
        kernel_w,
        stride_h,
        stride_w,
        dilation_h,
        dilation_w,
        pad_top,
        pad_bottom,
        pad_left,
        pad_right,
    };
    let (h, w) = window.output_size(input.h, input.w).expect("the window is made to fit");
    (window, Shape { h, w, c: input.c })
}

/// Which elements and widths a network draws.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Widths {
    /// Activations and weights of i8.
    Bytes,
    /// Every element and width, layer by layer.
    Mixed,
}

/// Random codes and exponents for a network of i8: small weights and extreme ones, right shifts from
/// left shifts of 3 to right shifts of 14, biases that reach saturation.
#[must_use]
pub fn fixed_point(network: &Network, seed: u64) -> FixedPointNetwork {
    bridged(network, seed, Widths::Bytes)
}

/// As [`fixed_point`], with every element and width.
#[must_use]
pub fn mixed_widths(network: &Network, seed: u64) -> FixedPointNetwork {
    bridged(network, seed, Widths::Mixed)
}

/// The network with operators of the affine scheme in place of those that it does not have.
#[must_use]
pub fn affine_operators(mut network: Network) -> Network {
    for layer in &mut network.layers {
        layer.op = match layer.op.clone() {
            LayerOp::LeakyRelu { .. } | LayerOp::PRelu { .. } => LayerOp::Curve(Curve::HardSwish),
            LayerOp::UpsampleBilinear => LayerOp::UpsampleNearest,
            LayerOp::Rescale => LayerOp::Clip,
            op => op,
        };
        if layer.op.keeps_exponent() && layer.op != LayerOp::Clip || matches!(layer.op, LayerOp::Curve(_)) {
            layer.activation = LayerActivation::None;
        }
    }
    network
}

/// As [`fixed_point`], with every element and width, and operators that are not trained in some places: softmax, slopes by
/// channel, frames of any code, an argmax at the end.
#[must_use]
pub fn inference_only(network: &Network, seed: u64) -> FixedPointNetwork {
    let mut rng = ChaCha8Rng::seed_from_u64(seed ^ 0x0e17);
    let widths = if rng.random_bool(0.5) { Widths::Mixed } else { Widths::Bytes };
    let mut fixed = bridged(network, seed, widths);
    let plain = fixed.clone();
    let elements: Vec<Element> = (0..=fixed.layers.len()).map(|tensor| fixed.tensor(tensor).element).collect();
    for layer in &mut fixed.layers {
        let (channels, element) = (layer.output.shape.c.into(), layer.output.element);
        match &mut layer.op {
            FixedPointOp::LeakyRelu { slopes, .. } => {
                *slopes = (0..channels).map(|_| rng.random_range(-300..=300)).collect();
            }
            FixedPointOp::Pad { value, .. } => *value = rng.random_range(element.min()..=element.max()),
            op @ FixedPointOp::Table { .. } if elements[layer.inputs[0]] != Element::I16 && rng.random_bool(0.3) => {
                (*op, layer.output.exponent) = (FixedPointOp::Softmax, -(Softmax::output_bits(element) as i8));
            }
            _ => {}
        }
    }
    if rng.random_bool(0.2) {
        append(&mut fixed, "argmax", FixedPointOp::Argmax, |last| {
            let element = if last.shape.c > 256 { Element::I16 } else { Element::U8 };
            FixedPointTensor { element, ..FixedPointTensor::i8(Shape { c: 1, ..last.shape }, 0) }
        });
    }
    // A softmax's exponent is its own, and what reads it may not bridge that.
    let consistent = encode(&fixed).is_ok();
    if consistent { fixed } else { plain }
}

/// By the seed, a network of every element and width, of the affine scheme, or with a memory.
#[must_use]
pub fn every_kind(network: &Network, seed: u64) -> FixedPointNetwork {
    match seed % 4 {
        0 => affine_inference_only(network, seed).unwrap_or_else(|| fixed_point(network, seed)),
        1 => with_memory(network, seed),
        _ => inference_only(network, seed),
    }
}

/// A network followed by one that remembers: a running sum and a stream of rows.
#[must_use]
pub fn with_memory(network: &Network, seed: u64) -> FixedPointNetwork {
    let mut fixed = bridged(network, seed, if seed & 4 == 0 { Widths::Mixed } else { Widths::Bytes });
    let last = fixed.layers.len();
    append(&mut fixed, "state", FixedPointOp::State, |last| last);
    fixed.layers[last].inputs.clear();
    append(&mut fixed, "sum", FixedPointOp::Binary(BinaryKind::Add), |state| state);
    fixed.layers[last + 1].inputs = std::vec![last, last + 1];
    append(&mut fixed, "store", FixedPointOp::Store, |sum| sum);
    fixed.layers[last + 2].inputs.push(last + 1);
    append(&mut fixed, "stream", FixedPointOp::Stream, |sum| FixedPointTensor {
        shape: Shape { h: sum.shape.h + 1 + (seed % 3) as u16 * sum.shape.h, ..sum.shape },
        ..sum
    });
    fixed.layers[last + 3].inputs = std::vec![last + 2];
    fixed
}

/// Adds a layer that reads the last tensor; `output` makes its tensor of that one.
fn append(
    fixed: &mut FixedPointNetwork,
    name: &str,
    op: FixedPointOp,
    output: impl FnOnce(FixedPointTensor) -> FixedPointTensor,
) {
    let last = fixed.layers.len();
    let output = output(fixed.tensor(last));
    let activation = Activation::full(output.element);
    fixed.layers.push(FixedPointLayer { name: name.into(), inputs: std::vec![last], output, activation, op });
}

/// The first draw whose exponents and accumulators every operator can bridge.
fn bridged(network: &Network, seed: u64, widths: Widths) -> FixedPointNetwork {
    let mut candidates = (0..1000).map(|attempt| drawn(network, seed.wrapping_add(attempt << 32), widths));
    let bridges = |candidate: &FixedPointNetwork| {
        use ExportError::{AccumulatorOverflow, Alignment, Reciprocal, Refused, Shift};
        let outcome = encode(candidate);
        let refused = matches!(outcome, Err(Alignment { .. } | Reciprocal { .. } | Shift { .. }));
        // Sixteen bits times sixteen fit no accumulator when there are many.
        let wide = matches!(outcome, Err(AccumulatorOverflow { .. } | Refused(_)));
        !(refused || widths == Widths::Mixed && wide)
    };
    candidates.find(bridges).expect("a network can be given exponents")
}

fn drawn(network: &Network, seed: u64, widths: Widths) -> FixedPointNetwork {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let exponent = rng.random_range(-8..=0);
    let element = element(widths, &mut rng);
    let input = FixedPointTensor { element, ..FixedPointTensor::i8(network.input, exponent) };
    let mut result = FixedPointNetwork { input, layers: Vec::new() };
    for layer in &network.layers {
        let operand = result.tensor(layer.inputs[0]);
        let from = match layer.op {
            LayerOp::Binary(BinaryKind::Mul) => {
                operand.exponent.saturating_add(result.tensor(layer.inputs[1]).exponent)
            }
            // A curve of small values needs a fine step, one of large ones a coarse one.
            LayerOp::Curve(_) => operand.exponent.clamp(-9, -4),
            _ => operand.exponent,
        };
        let keeps = layer.op.keeps_exponent();
        let exponent = if keeps { from } else { from.saturating_add(rng.random_range(-2..=4)) };
        let element = if keeps { operand.element } else { self::element(widths, &mut rng) };
        let output = FixedPointTensor { element, ..FixedPointTensor::i8(layer.output, exponent) };
        result.layers.push(FixedPointLayer {
            name: layer.name.clone(),
            inputs: layer.inputs.clone(),
            output,
            activation: layer.activation.bounds(output),
            op: operator(layer, operand, output, widths, &mut rng),
        });
    }
    result
}

fn element(widths: Widths, rng: &mut ChaCha8Rng) -> Element {
    if widths == Widths::Bytes { Element::I8 } else { Element::ALL[rng.random_range(0..3)] }
}

fn operator(
    layer: &Layer,
    input: FixedPointTensor,
    output: FixedPointTensor,
    widths: Widths,
    rng: &mut ChaCha8Rng,
) -> FixedPointOp {
    let in_ch = usize::from(input.shape.c);
    match layer.op.clone() {
        LayerOp::Conv2d { window, groups, .. } => {
            let filter_len = window.taps() * in_ch / usize::from(groups);
            FixedPointOp::Conv2d { window, groups, weights: weights(filter_len, input, output, widths, rng) }
        }
        LayerOp::DepthwiseConv2d { window, .. } => {
            FixedPointOp::DepthwiseConv2d { window, weights: weights(window.taps(), input, output, widths, rng) }
        }
        LayerOp::TransposeConv2d { window, .. } => FixedPointOp::TransposeConv2d {
            window,
            weights: weights(window.taps() * in_ch, input, output, widths, rng),
        },
        LayerOp::FullyConnected { .. } => {
            FixedPointOp::FullyConnected { weights: weights(input.shape.len(), input, output, widths, rng) }
        }
        LayerOp::MaxPool2d { window } => FixedPointOp::MaxPool2d { window },
        LayerOp::AveragePool2d { window } => FixedPointOp::AveragePool2d { window },
        LayerOp::Mean { axes } => FixedPointOp::Mean { axes },
        LayerOp::Binary(kind) => FixedPointOp::Binary(kind),
        LayerOp::Clip => FixedPointOp::Clip,
        LayerOp::Rescale => FixedPointOp::Rescale,
        LayerOp::LeakyRelu { slope } => FixedPointOp::LeakyRelu { slopes: std::vec![slope], slope_bits: SLOPE_BITS },
        LayerOp::PRelu { .. } => {
            let count = layer.op.learned_slopes(input.shape.c).map_or(0, i32::from);
            // From end to end of what a slope may be.
            let slope = |channel: i32| (0x9e37_79b9_u32.wrapping_mul(channel as u32 + 1) >> 16) as u16;
            let slopes = (0..count).map(|channel| slope(channel).cast_signed()).collect();
            FixedPointOp::LeakyRelu { slopes, slope_bits: LEARNED_SLOPE_BITS }
        }
        LayerOp::Curve(curve) => FixedPointOp::Table { codes: curve.codes(input, output) },
        LayerOp::Concat { axis } => FixedPointOp::Concat { axis },
        LayerOp::Slice { start } => FixedPointOp::Slice { start },
        LayerOp::Pad { before } => FixedPointOp::Pad { before, value: 0 },
        LayerOp::Reshape => FixedPointOp::Reshape,
        LayerOp::Transpose { order } => FixedPointOp::Transpose { order },
        LayerOp::UpsampleNearest => FixedPointOp::UpsampleNearest,
        LayerOp::UpsampleBilinear => FixedPointOp::UpsampleBilinear,
        LayerOp::State | LayerOp::Repeated { .. } => unreachable!("not drawn"),
    }
}

fn weights(
    filter_len: usize,
    input: FixedPointTensor,
    output: FixedPointTensor,
    widths: Widths,
    rng: &mut ChaCha8Rng,
) -> FixedPointWeights {
    let out_ch = usize::from(output.shape.c);
    let bits = if widths == Widths::Bytes { WeightBits::Eight } else { WeightBits::ALL[rng.random_range(0..4)] };
    let codes = codes(filter_len * out_ch, bits, rng);
    let one = (widths == Widths::Mixed && rng.random_bool(0.3)).then(|| rng.random_range(-3..=14));
    let right_shifts: Vec<i8> = (0..out_ch).map(|_| one.unwrap_or_else(|| rng.random_range(-3..=14))).collect();
    let exponents = right_shifts.iter().map(|shift| output.exponent - input.exponent - shift).collect();
    let bias = right_shifts.iter().map(|shift| bias(*shift, rng)).collect();
    FixedPointWeights { bits, codes, exponents, mantissas: Vec::new(), bias }
}

/// Weights that are small, of the whole range, or its extremes.
fn codes(count: usize, bits: WeightBits, rng: &mut ChaCha8Rng) -> Vec<i16> {
    let reach = [1, 7, bits.max()][rng.random_range(0..3)].min(bits.max());
    let extreme = rng.random_bool(0.2);
    let mut code = |_| if extreme { [-reach, reach][rng.random_range(0..2)] } else { rng.random_range(-reach..=reach) };
    (0..count).map(&mut code).collect()
}

/// Up to three times the output's range.
fn bias(right_shift: i8, rng: &mut ChaCha8Rng) -> i64 {
    let unit = 1_i64 << right_shift.max(0);
    rng.random_range(-384 * unit..=384 * unit)
}

/// The network in the affine scheme; operators without a counterpart there become others of their shape. `None` for one
/// that puts tensors of several scales side by side, or averages over more rows or columns than a window has.
#[must_use]
pub fn affine(network: &Network, seed: u64) -> Option<FixedPointNetwork> {
    affine_with(network, seed, true)
}

/// As [`affine`], with operators that are not trained in some places: softmax, and global means to a scale of their own.
#[must_use]
pub fn affine_inference_only(network: &Network, seed: u64) -> Option<FixedPointNetwork> {
    affine_with(network, seed, false)
}

fn affine_with(network: &Network, seed: u64, trained: bool) -> Option<FixedPointNetwork> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed ^ 0xaff1);
    let mut result = FixedPointNetwork { input: scaled(network.input, 1.0, &mut rng), layers: Vec::new() };
    for layer in &network.layers {
        let operand = result.tensor(layer.inputs[0]);
        let alike = layer
            .inputs
            .iter()
            .all(|input| FixedPointTensor { shape: operand.shape, ..result.tensor(*input) } == operand);
        let Shape { h, w, .. } = operand.shape;
        let long_mean = layer.op == (LayerOp::Mean { axes: Mean::GLOBAL }) && (h > 255 || w > 255);
        if matches!(layer.op, LayerOp::Concat { .. }) && !alike || long_mean {
            return None;
        }
        let second = layer.inputs.get(1).map_or(operand, |input| result.tensor(*input)).step();
        // A sum has no multiplier where one operand's scale is beyond all proportion to the result's.
        let step = match layer.op {
            LayerOp::Binary(BinaryKind::Mul) => operand.step() * second * 64.0,
            LayerOp::Binary(_) => operand.step().max(second),
            _ => operand.step(),
        };
        let fresh = scaled(layer.output, step, &mut rng);
        let (op, rescales) = affine_operator(layer, operand, fresh, (trained, alike), &mut rng);
        let output = match op {
            FixedPointOp::AffineSoftmax => FixedPointTensor {
                exponent: AffineSoftmax::OUTPUT_EXPONENT,
                mantissa: 1,
                zero: fresh.element.min(),
                ..fresh
            },
            _ if rescales => fresh,
            _ => FixedPointTensor { shape: layer.output, ..operand },
        };
        let activation = layer.activation.bounds(output);
        result.layers.push(FixedPointLayer {
            name: layer.name.clone(),
            inputs: layer.inputs.clone(),
            output,
            activation,
            op,
        });
    }
    Some(result)
}

/// A tensor whose scale is near `step`, but no power of two.
fn scaled(shape: Shape, step: f64, rng: &mut ChaCha8Rng) -> FixedPointTensor {
    let mantissa = rng.random_range(1 << 20..1 << 21) * 2 + 1;
    let exponent = (step.log2() - 21.0 + rng.random_range(-1.0..1.5)).round() as i8;
    let element = if rng.random_bool(0.7) { Element::I8 } else { Element::U8 };
    let zero = rng.random_range(element.min()..=element.max());
    FixedPointTensor { element, mantissa, zero, ..FixedPointTensor::i8(shape, exponent) }
}

/// The operator, and whether its output has a scale of its own.
///
/// trained  only operators that are trained
/// alike    all that the layer reads has one scale
fn affine_operator(
    layer: &Layer,
    input: FixedPointTensor,
    output: FixedPointTensor,
    (trained, alike): (bool, bool),
    rng: &mut ChaCha8Rng,
) -> (FixedPointOp, bool) {
    let weighted = |mut op: FixedPointOp, rng: &mut ChaCha8Rng| {
        if let FixedPointOp::Conv2d { weights, .. }
        | FixedPointOp::DepthwiseConv2d { weights, .. }
        | FixedPointOp::TransposeConv2d { weights, .. }
        | FixedPointOp::FullyConnected { weights } = &mut op
        {
            *weights = affine_weights(weights, input, output, rng);
        }
        (op, true)
    };
    let table = |codes: Vec<i16>| (FixedPointOp::Table { codes }, true);
    match &layer.op {
        LayerOp::Conv2d { .. }
        | LayerOp::DepthwiseConv2d { .. }
        | LayerOp::TransposeConv2d { .. }
        | LayerOp::FullyConnected { .. } => weighted(operator(layer, input, output, Widths::Bytes, rng), rng),
        LayerOp::AveragePool2d { window } => (FixedPointOp::AffineAveragePool2d { window: *window }, false),
        LayerOp::Mean { axes: Mean::GLOBAL } if trained || rng.random_bool(0.5) => {
            let window = Window::new(input.shape.h as u8, input.shape.w as u8);
            (FixedPointOp::AffineAveragePool2d { window }, false)
        }
        LayerOp::Mean { axes } => (FixedPointOp::AffineMean { axes: *axes }, true),
        LayerOp::Curve(_) if !trained && input.shape.c <= AffineSoftmax::MAX_CHANNELS && rng.random_bool(0.3) => {
            (FixedPointOp::AffineSoftmax, true)
        }
        LayerOp::Binary(BinaryKind::Mul) => (FixedPointOp::AffineBinary(AffineBinaryKind::Mul), true),
        LayerOp::Binary(BinaryKind::Sub) => (FixedPointOp::AffineBinary(AffineBinaryKind::Sub), true),
        LayerOp::Binary(kind @ (BinaryKind::Minimum | BinaryKind::Maximum)) if alike => {
            (FixedPointOp::Binary(*kind), false)
        }
        LayerOp::Binary(_) => (FixedPointOp::AffineBinary(AffineBinaryKind::Add), true),
        // To another scale by a convolution with ones.
        LayerOp::Rescale => {
            let out_ch = output.shape.c.into();
            let ones = FixedPointWeights {
                bits: WeightBits::Two,
                codes: std::vec![1; out_ch],
                exponents: std::vec![0; out_ch],
                mantissas: std::vec![1; out_ch],
                bias: std::vec![0; out_ch],
            };
            (FixedPointOp::DepthwiseConv2d { window: Window::new(1, 1), weights: ones }, true)
        }
        LayerOp::LeakyRelu { .. } | LayerOp::PRelu { .. } => table(Curve::HardSwish.codes(input, output)),
        LayerOp::Curve(curve) => table(curve.codes(input, output)),
        LayerOp::UpsampleBilinear => (FixedPointOp::UpsampleNearest, false),
        LayerOp::Pad { before } => (FixedPointOp::Pad { before: *before, value: input.zero }, false),
        _ => (operator(layer, input, output, Widths::Bytes, rng), false),
    }
}

/// Scales whose factors to the output's are from `2^-12` to 2.
fn affine_weights(
    drawn: &FixedPointWeights,
    input: FixedPointTensor,
    output: FixedPointTensor,
    rng: &mut ChaCha8Rng,
) -> FixedPointWeights {
    let out_ch = drawn.bias.len();
    let one = rng.random_bool(0.3);
    let mut parts = |_| {
        let mantissa = rng.random_range(1 << 20..1 << 21_u32) * 2 + 1;
        let exponent = (output.step() / input.step()).log2() + rng.random_range(-12.0..1.0) - 22.0;
        (mantissa, exponent.round() as i8)
    };
    let mut parts: Vec<(u32, i8)> = (0..out_ch).map(&mut parts).collect();
    if one {
        let first = parts[0];
        parts.fill(first);
    }
    let (mantissas, exponents) = parts.into_iter().unzip();
    FixedPointWeights { mantissas, exponents, ..drawn.clone() }
}

/// Patches for the first layers of a network, where one of some draws can run so.
#[must_use]
pub fn patching(network: &FixedPointNetwork, seed: u64) -> Option<Patching> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed ^ 0x9a7c);
    let mut draw = |_| {
        let layers = rng.random_range(1..=network.layers.len());
        let Shape { h, w, .. } = network.tensor(layers).shape;
        Patching { layers, rows: rng.random_range(1..=h), columns: rng.random_range(1..=w) }
    };
    (0..8).map(&mut draw).find(|patching| stage(network, *patching).is_ok())
}

/// The network as a model file, by the seed for one of the backends and with its first layers in patches.
///
/// # Errors
/// As [`encode()`].
pub fn encoded(network: &FixedPointNetwork, seed: u64) -> Result<Vec<u8>, ExportError> {
    let patching = if seed.is_multiple_of(3) { patching(network, seed) } else { None };
    let backend = Backend::ALL[(seed / 12) as usize % Backend::ALL.len()];
    let prefer = if (seed / 48).is_multiple_of(2) { Prefer::Memory } else { Prefer::Speed };
    encode_with(network, Options { backend, prefer, patching, ..Options::default() })
}

/// Input codes: uniform ones, extremes or few distinct ones.
#[must_use]
pub fn input_codes(input: FixedPointTensor, seed: u64) -> Vec<i16> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed ^ 0x5eed);
    let (min, max) = (input.element.min(), input.element.max());
    let style = rng.random_range(0..3);
    let mut code = |_| match style {
        0 => rng.random_range(min..=max),
        1 => [min, 0, max][rng.random_range(0..3)],
        _ => rng.random_range(min.max(-2)..=2),
    };
    (0..input.shape.len()).map(&mut code).collect()
}
