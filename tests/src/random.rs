//! Random networks over every operator: shapes, strides, paddings, exponents, saturating values
//! and ties. A network shrinks towards fewer and plainer layers.

use std::format;
use std::vec::Vec;

use proptest::prelude::*;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use stepshift_runtime::format::{Shape, Window};
use stepshift_trainer::export::{
    FixedPointLayer, FixedPointNetwork, FixedPointOp, FixedPointTensor, FixedPointWeights,
};
use stepshift_trainer::network::{Layer, LayerOp, Network};

/// Numbers that choose a layer, whatever the shape before it.
#[derive(Debug, Clone)]
struct Choice {
    kind: u8,
    channels: u16,
    kernel: (u8, u8),
    stride: (u8, u8),
    pad: [u8; 4],
    earlier: usize,
    relu: bool,
}

/// Networks of 1 to 8 layers on inputs of up to 9 x 9 x 5.
pub fn networks() -> impl Strategy<Value = Network> {
    let input = (1..=9_u16, 1..=9_u16, 1..=5_u16).prop_map(|(h, w, c)| Shape { h, w, c });
    let layers = proptest::collection::vec(choice(), 1..=8);
    (input, layers).prop_map(|(input, choices)| build(input, &choices))
}

fn choice() -> impl Strategy<Value = Choice> {
    let pad = proptest::array::uniform4(0..4_u8);
    let kernel = (1..=4_u8, 1..=4_u8);
    (0..7_u8, 1..=9_u16, kernel, (1..=3_u8, 1..=3_u8), pad, 0..16_usize, any::<bool>()).prop_map(
        |(kind, channels, kernel, stride, pad, earlier, relu)| Choice {
            kind,
            channels,
            kernel,
            stride,
            pad,
            earlier,
            relu,
        },
    )
}

fn build(input: Shape, choices: &[Choice]) -> Network {
    let mut network = Network { input, layers: Vec::new() };
    for (index, choice) in choices.iter().enumerate() {
        let shapes: Vec<Shape> =
            core::iter::once(input).chain(network.layers.iter().map(|layer| layer.output)).collect();
        let layer = layer(format!("layer{index}"), choice, &shapes);
        network.layers.push(layer);
    }
    network
}

/// A layer that reads the tensor before it, and an earlier one of the same shape where it adds.
fn layer(name: std::string::String, choice: &Choice, shapes: &[Shape]) -> Layer {
    let last = shapes.len() - 1;
    let input = shapes[last];
    let window = window(choice, input);
    let (h, w) = window.output_size(input.h, input.w).expect("the window is made to fit");
    let mut inputs = std::vec![last];
    let (op, output) = match choice.kind {
        0 => {
            (LayerOp::Conv2d { window, out_ch: choice.channels, batch_norm: false }, Shape { h, w, c: choice.channels })
        }
        1 => {
            let multiplier = 1 + choice.channels % 3;
            (
                LayerOp::DepthwiseConv2d { window, multiplier, batch_norm: false },
                Shape { h, w, c: input.c * multiplier },
            )
        }
        2 => (LayerOp::FullyConnected { out_ch: choice.channels }, Shape { h: 1, w: 1, c: choice.channels }),
        3 => (LayerOp::MaxPool2d { window }, Shape { h, w, c: input.c }),
        4 => (LayerOp::GlobalAveragePool, Shape { h: 1, w: 1, c: input.c }),
        5 => {
            let same: Vec<usize> = (0..=last).filter(|tensor| shapes[*tensor] == input).collect();
            inputs.push(same[choice.earlier % same.len()]);
            (LayerOp::Add, input)
        }
        _ => (LayerOp::Relu, input),
    };
    Layer { name, inputs, op, relu: choice.relu, output }
}

/// The chosen window, cut down until it fits the input.
fn window(choice: &Choice, input: Shape) -> Window {
    let axis = |kernel: u8, len: u16, before: u8, after: u8| {
        let (before, after) = (before % kernel, after % kernel);
        let longest = len + u16::from(before) + u16::from(after);
        if u16::from(kernel) <= longest { (kernel, before, after) } else { (1, 0, 0) }
    };
    let (kernel_h, pad_top, pad_bottom) = axis(choice.kernel.0, input.h, choice.pad[0], choice.pad[1]);
    let (kernel_w, pad_left, pad_right) = axis(choice.kernel.1, input.w, choice.pad[2], choice.pad[3]);
    let (stride_h, stride_w) = choice.stride;
    Window { kernel_h, kernel_w, stride_h, stride_w, pad_top, pad_bottom, pad_left, pad_right }
}

/// Random codes and exponents for a network: small weights and extreme ones, right shifts from
/// left shifts of 3 to right shifts of 14, biases that reach saturation.
#[must_use]
pub fn fixed_point(network: &Network, seed: u64) -> FixedPointNetwork {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let input = FixedPointTensor { shape: network.input, exponent: rng.random_range(-8..=0) };
    let mut result = FixedPointNetwork { input, layers: Vec::new() };
    for layer in &network.layers {
        let operand = result.tensor(layer.inputs[0]);
        let keeps_exponent = matches!(layer.op, LayerOp::MaxPool2d { .. } | LayerOp::Relu);
        let exponent = if keeps_exponent { operand.exponent } else { operand.exponent + rng.random_range(-2..=4) };
        let output = FixedPointTensor { shape: layer.output, exponent };
        let op = operator(layer, operand, output, &mut rng);
        let relu = layer.relu || matches!(layer.op, LayerOp::Relu);
        result.layers.push(FixedPointLayer {
            name: layer.name.clone(),
            inputs: layer.inputs.clone(),
            output,
            relu,
            op,
        });
    }
    result
}

fn operator(layer: &Layer, input: FixedPointTensor, output: FixedPointTensor, rng: &mut ChaCha8Rng) -> FixedPointOp {
    match layer.op {
        LayerOp::Conv2d { window, .. } => {
            let taps = usize::from(window.kernel_h) * usize::from(window.kernel_w);
            FixedPointOp::Conv2d { window, weights: weights(taps * usize::from(input.shape.c), input, output, rng) }
        }
        LayerOp::DepthwiseConv2d { window, .. } => {
            let taps = usize::from(window.kernel_h) * usize::from(window.kernel_w);
            FixedPointOp::DepthwiseConv2d { window, weights: weights(taps, input, output, rng) }
        }
        LayerOp::FullyConnected { .. } => {
            FixedPointOp::FullyConnected { weights: weights(input.shape.len(), input, output, rng) }
        }
        LayerOp::MaxPool2d { window } => FixedPointOp::MaxPool2d { window },
        LayerOp::GlobalAveragePool => FixedPointOp::GlobalAveragePool,
        LayerOp::Add => FixedPointOp::Add,
        LayerOp::Relu => FixedPointOp::Relu,
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
