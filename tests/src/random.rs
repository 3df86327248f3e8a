//! Random networks over every operator: shapes, strides, paddings, exponents, saturating values
//! and ties. A network shrinks towards fewer and plainer layers.

use std::format;
use std::vec::Vec;

use proptest::prelude::*;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use stepshift_runtime::format::{BinaryKind, Shape, Window};
use stepshift_trainer::export::{
    Curve, ExportError, FixedPointLayer, FixedPointNetwork, FixedPointOp, FixedPointTensor, FixedPointWeights, encode,
};
use stepshift_trainer::network::{Layer, LayerActivation, LayerOp, Network, SLOPE_BITS};

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
    let mut network = Network { input, layers: Vec::new() };
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
        7 => (LayerOp::GlobalAveragePool, Shape { h: 1, w: 1, c: input.c }),
        8 | 9 | 22 => {
            let kinds = [BinaryKind::Add, BinaryKind::Sub, BinaryKind::Minimum, BinaryKind::Maximum, BinaryKind::Mul];
            let kind = kinds[usize::from(choice.channels) % if may_multiply { 5 } else { 4 }];
            inputs.push(earlier(choice, shapes, |shape| shape == input));
            (LayerOp::Binary(kind), input)
        }
        10 => (LayerOp::Rescale, input),
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

/// Random codes and exponents for a network: small weights and extreme ones, right shifts from
/// left shifts of 3 to right shifts of 14, biases that reach saturation.
#[must_use]
pub fn fixed_point(network: &Network, seed: u64) -> FixedPointNetwork {
    // Exponents that an operator cannot bridge are drawn again.
    let candidates = (0..1000).map(|attempt| drawn(network, seed.wrapping_add(attempt << 32)));
    let bridged = |candidate: &FixedPointNetwork| {
        use ExportError::{Alignment, Reciprocal, Shift};
        !matches!(encode(candidate), Err(Alignment { .. } | Reciprocal { .. } | Shift { .. }))
    };
    candidates.into_iter().find(bridged).expect("a network can be given exponents")
}

/// As [`fixed_point`], with operators that are not trained in some places: softmax, slopes by channel, frames of any code.
#[must_use]
pub fn inference_only(network: &Network, seed: u64) -> FixedPointNetwork {
    let mut rng = ChaCha8Rng::seed_from_u64(seed ^ 0x0e17);
    let mut fixed = fixed_point(network, seed);
    let plain = fixed.clone();
    for layer in &mut fixed.layers {
        let channels = layer.output.shape.c.into();
        match &mut layer.op {
            FixedPointOp::LeakyRelu { slopes, slope_bits } => {
                *slopes = (0..channels).map(|_| rng.random_range(-300..=300)).collect();
                debug_assert_eq!(*slope_bits, SLOPE_BITS);
            }
            FixedPointOp::Pad { value, .. } => *value = rng.random(),
            op @ FixedPointOp::Table { .. } if rng.random_bool(0.3) => {
                (*op, layer.output.exponent) = (FixedPointOp::Softmax, -7);
            }
            _ => {}
        }
    }
    // A softmax's exponent is its own, and what reads it may not bridge that.
    let consistent = encode(&fixed).is_ok();
    if consistent { fixed } else { plain }
}

fn drawn(network: &Network, seed: u64) -> FixedPointNetwork {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let input = FixedPointTensor { shape: network.input, exponent: rng.random_range(-8..=0) };
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
        let exponent = if layer.op.keeps_exponent() { from } else { from.saturating_add(rng.random_range(-2..=4)) };
        let output = FixedPointTensor { shape: layer.output, exponent };
        result.layers.push(FixedPointLayer {
            name: layer.name.clone(),
            inputs: layer.inputs.clone(),
            output,
            activation: layer.activation.bounds(exponent),
            op: operator(layer, operand, output, &mut rng),
        });
    }
    result
}

fn operator(layer: &Layer, input: FixedPointTensor, output: FixedPointTensor, rng: &mut ChaCha8Rng) -> FixedPointOp {
    let in_ch = usize::from(input.shape.c);
    match layer.op.clone() {
        LayerOp::Conv2d { window, groups, .. } => {
            let filter_len = window.taps() * in_ch / usize::from(groups);
            FixedPointOp::Conv2d { window, groups, weights: weights(filter_len, input, output, rng) }
        }
        LayerOp::DepthwiseConv2d { window, .. } => {
            FixedPointOp::DepthwiseConv2d { window, weights: weights(window.taps(), input, output, rng) }
        }
        LayerOp::TransposeConv2d { window, .. } => {
            FixedPointOp::TransposeConv2d { window, weights: weights(window.taps() * in_ch, input, output, rng) }
        }
        LayerOp::FullyConnected { .. } => {
            FixedPointOp::FullyConnected { weights: weights(input.shape.len(), input, output, rng) }
        }
        LayerOp::MaxPool2d { window } => FixedPointOp::MaxPool2d { window },
        LayerOp::AveragePool2d { window } => FixedPointOp::AveragePool2d { window },
        LayerOp::GlobalAveragePool => FixedPointOp::GlobalAveragePool,
        LayerOp::Binary(kind) => FixedPointOp::Binary(kind),
        LayerOp::Clip => FixedPointOp::Clip,
        LayerOp::Rescale => FixedPointOp::Rescale,
        LayerOp::LeakyRelu { slope } => FixedPointOp::LeakyRelu { slopes: std::vec![slope], slope_bits: SLOPE_BITS },
        LayerOp::Curve(curve) => FixedPointOp::Table { codes: curve.codes(input.exponent, output.exponent) },
        LayerOp::Concat { axis } => FixedPointOp::Concat { axis },
        LayerOp::Slice { start } => FixedPointOp::Slice { start },
        LayerOp::Pad { before } => FixedPointOp::Pad { before, value: 0 },
        LayerOp::Reshape => FixedPointOp::Reshape,
        LayerOp::Transpose { order } => FixedPointOp::Transpose { order },
        LayerOp::UpsampleNearest => FixedPointOp::UpsampleNearest,
        LayerOp::UpsampleBilinear => FixedPointOp::UpsampleBilinear,
    }
}

fn weights(
    filter_len: usize,
    input: FixedPointTensor,
    output: FixedPointTensor,
    rng: &mut ChaCha8Rng,
) -> FixedPointWeights {
    let out_ch = usize::from(output.shape.c);
    let reach = [1, 7, 127][rng.random_range(0..3)];
    let extreme = rng.random_bool(0.2);
    let mut code = |_| if extreme { [-127, 127][rng.random_range(0..2)] } else { rng.random_range(-reach..=reach) };
    let codes = (0..filter_len * out_ch).map(&mut code).collect();
    let right_shifts: Vec<i8> = (0..out_ch).map(|_| rng.random_range(-3..=14)).collect();
    let exponents = right_shifts.iter().map(|shift| output.exponent - input.exponent - shift).collect();
    let bias = right_shifts.iter().map(|shift| bias(*shift, rng)).collect();
    FixedPointWeights { codes, exponents, bias }
}

/// Up to three times the output's range.
fn bias(right_shift: i8, rng: &mut ChaCha8Rng) -> i64 {
    let unit = 1_i64 << right_shift.max(0);
    rng.random_range(-384 * unit..=384 * unit)
}

/// Input codes: uniform ones, extremes or few distinct ones.
#[must_use]
pub fn input_codes(len: usize, seed: u64) -> Vec<i8> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed ^ 0x5eed);
    let style = rng.random_range(0..3);
    let mut code = |_| match style {
        0 => rng.random_range(i8::MIN..=i8::MAX),
        1 => [i8::MIN, 0, i8::MAX][rng.random_range(0..3)],
        _ => rng.random_range(-2..=2),
    };
    (0..len).map(&mut code).collect()
}
