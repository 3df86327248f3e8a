//! Lists of layers, as `benches/*.toml` has them, and a network of each.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use serde::Deserialize;
use stepshift_runtime::format::{Activation, BinaryKind, Element, Mean, Shape, WeightBits, Window};
use stepshift_trainer::export::{
    FixedPointLayer, FixedPointNetwork, FixedPointOp, FixedPointTensor, FixedPointWeights,
};

/// A list of layers.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct List {
    layer: Vec<Entry>,
}

/// One layer.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Entry {
    /// What the table calls it.
    pub(super) name: String,
    op: Op,
    /// Rows, columns, channels.
    input: [u16; 3],
    /// How often the network has it.
    #[serde(default = "once")]
    pub(super) count: u64,
}

const fn once() -> u64 {
    1
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
enum Op {
    Conv2d(Sliding),
    DepthwiseConv2d(Sliding),
    FullyConnected(Dense),
    MaxPool2d(Sliding),
    Add(Ends),
    GlobalAveragePool {},
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Sliding {
    kernel: [u8; 2],
    #[serde(default)]
    out_ch: u16,
    #[serde(default = "unit")]
    stride: u8,
    #[serde(default = "eight")]
    weight_bits: u32,
    #[serde(default)]
    activation: Ending,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Dense {
    out_ch: u16,
    #[serde(default = "eight")]
    weight_bits: u32,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Ends {
    #[serde(default)]
    activation: Ending,
}

#[derive(Debug, Default, Clone, Copy, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Ending {
    #[default]
    None,
    Relu,
}

const fn unit() -> u8 {
    1
}

const fn eight() -> u32 {
    8
}

/// Exponents of activations and weights: accumulators of random codes fill 8 bits after a shift.
const ACTIVATION_EXPONENT: i8 = -4;
const WEIGHT_EXPONENT: i8 = -9;

/// Reads a list: `resnet8`, `ds-cnn`, or the path of a file.
pub(super) fn read(name: &str) -> Result<Vec<Entry>> {
    let known = crate::workspace::root().join("benches").join(name).with_extension("toml");
    let path = if known.exists() { known.as_path() } else { Path::new(name) };
    let text = fs::read_to_string(path)
        .with_context(|| format!("--layers {name}: neither a list in benches/ nor a file that can be read"))?;
    let list: List = toml::from_str(&text).with_context(|| path.display().to_string())?;
    ensure!(!list.layer.is_empty(), "{}: there is no layer", path.display());
    Ok(list.layer)
}

impl Entry {
    /// Multiply-accumulates, those with padding too.
    pub(super) fn macs(&self, network: &FixedPointNetwork) -> u64 {
        network.layers.iter().map(|layer| layer.macs(network.input.shape)).sum()
    }

    /// A network of this layer alone, with weights that look random and one right shift a channel.
    pub(super) fn network(&self, scheme: Scheme) -> Result<FixedPointNetwork> {
        let [h, w, c] = self.input;
        let input = FixedPointTensor::i8(Shape { h, w, c }, ACTIVATION_EXPONENT);
        let layer = |inputs: Vec<usize>, shape: Shape, ending: Ending, op: FixedPointOp| FixedPointLayer {
            name: self.name.clone(),
            inputs,
            output: FixedPointTensor { exponent: ACTIVATION_EXPONENT, ..FixedPointTensor::i8(shape, 0) },
            activation: match ending {
                Ending::None => Activation::full(Element::I8),
                Ending::Relu => Activation::relu(Element::I8),
            },
            op,
        };
        let layers = match &self.op {
            Op::Conv2d(op) => {
                let (window, h, w) = self.window(op)?;
                let weights = weights(op.out_ch.into(), window.taps() * usize::from(c), op.weight_bits)?;
                let op_ = FixedPointOp::Conv2d { window, groups: 1, weights };
                vec![layer(vec![0], Shape { h, w, c: op.out_ch }, op.activation, op_)]
            }
            Op::DepthwiseConv2d(op) => {
                let (window, h, w) = self.window(op)?;
                let weights = weights(c.into(), window.taps(), op.weight_bits)?;
                let op_ = FixedPointOp::DepthwiseConv2d { window, weights };
                vec![layer(vec![0], Shape { h, w, c }, op.activation, op_)]
            }
            Op::FullyConnected(op) => {
                let weights = weights(op.out_ch.into(), input.shape.len(), op.weight_bits)?;
                let shape = Shape { h: 1, w: 1, c: op.out_ch };
                vec![layer(vec![0], shape, Ending::None, FixedPointOp::FullyConnected { weights })]
            }
            Op::MaxPool2d(op) => {
                let (window, h, w) = self.window(op)?;
                vec![layer(vec![0], Shape { h, w, c }, op.activation, FixedPointOp::MaxPool2d { window })]
            }
            Op::Add(op) => {
                // A second operand of another step, so that one is shifted.
                let mut other = layer(vec![0], input.shape, Ending::None, FixedPointOp::Rescale);
                other.output.exponent += 1;
                vec![other, layer(vec![0, 1], input.shape, op.activation, FixedPointOp::Binary(BinaryKind::Add))]
            }
            Op::GlobalAveragePool {} => {
                let shape = Shape { h: 1, w: 1, c };
                vec![layer(vec![0], shape, Ending::None, FixedPointOp::Mean { axes: Mean::GLOBAL })]
            }
        };
        let network = FixedPointNetwork { input, layers };
        Ok(if scheme == Scheme::Affine { affine(network) } else { network })
    }

    /// Padding keeps the size, or its half where the stride is 2.
    fn window(&self, op: &Sliding) -> Result<(Window, u16, u16)> {
        let [h, w, _] = self.input;
        let axis = |kernel: u8, len: u16| {
            let out = len.div_ceil(op.stride.max(1).into());
            let padded = (out - 1) * u16::from(op.stride) + u16::from(kernel);
            let total = padded.saturating_sub(len) as u8;
            (total / 2, total - total / 2)
        };
        let [kernel_h, kernel_w] = op.kernel;
        let ((pad_top, pad_bottom), (pad_left, pad_right)) = (axis(kernel_h, h), axis(kernel_w, w));
        let window = Window {
            stride_h: op.stride,
            stride_w: op.stride,
            pad_top,
            pad_bottom,
            pad_left,
            pad_right,
            ..Window::new(kernel_h, kernel_w)
        };
        let (h, w) =
            window.output_size(h, w).with_context(|| format!("layer {}: the window does not fit", self.name))?;
        Ok((window, h, w))
    }
}

/// How layers with weights end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum Scheme {
    /// Steps that are powers of two: a shift.
    PowerOfTwo,
    /// TensorFlow Lite's: a multiplier and zero points.
    Affine,
}

/// The same layers with scales and zero points.
fn affine(mut network: FixedPointNetwork) -> FixedPointNetwork {
    network.input = FixedPointTensor { mantissa: 3, zero: -5, ..network.input };
    for layer in &mut network.layers {
        match &mut layer.op {
            FixedPointOp::Conv2d { weights, .. }
            | FixedPointOp::DepthwiseConv2d { weights, .. }
            | FixedPointOp::FullyConnected { weights } => {
                weights.mantissas = (0..weights.bias.len() as u32).map(|channel| 3 + 2 * (channel % 5)).collect();
                layer.output = FixedPointTensor { mantissa: 5, zero: 4, ..layer.output };
            }
            // A second operand, of the same scale; as TensorFlow Lite averages, without a change of scale.
            FixedPointOp::Rescale => {
                layer.op = FixedPointOp::Clip;
                layer.output = FixedPointTensor { shape: layer.output.shape, ..network.input };
            }
            FixedPointOp::Mean { .. } => {
                let Shape { h, w, .. } = network.input.shape;
                layer.op = FixedPointOp::AffineAveragePool2d { window: Window::new(h as u8, w as u8) };
                layer.output = FixedPointTensor { shape: layer.output.shape, ..network.input };
            }
            FixedPointOp::Binary(_) => {
                layer.op = FixedPointOp::AffineBinary(stepshift_runtime::format::AffineBinaryKind::Add);
                layer.output = FixedPointTensor { mantissa: 5, zero: 4, ..layer.output };
            }
            _ => layer.output = FixedPointTensor { mantissa: 3, zero: -5, ..layer.output },
        }
    }
    network
}

fn weights(out_ch: usize, filter_len: usize, bits: u32) -> Result<FixedPointWeights> {
    let bits = WeightBits::ALL.into_iter().find(|width| width.bits() == bits);
    let bits = bits.with_context(|| "weight_bits is one of 2, 4, 8, 16")?;
    let mut state = 7_u32;
    let mut code = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        let span = 2 * u32::from(bits.max().unsigned_abs()) + 1;
        (((state >> 16) * span) >> 16) as i16 - bits.max()
    };
    let codes = (0..out_ch * filter_len).map(|_| code()).collect();
    let exponents = (0..out_ch).map(|channel| WEIGHT_EXPONENT - (channel % 2) as i8).collect();
    let bias = (0..out_ch as i64).map(|channel| 50 * channel - 300).collect();
    Ok(FixedPointWeights { bits, codes, exponents, mantissas: Vec::new(), bias })
}
