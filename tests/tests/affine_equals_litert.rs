//! The affine scheme against LiteRT's reference kernels: single operators, every code.
//!
//! `tests/golden/litert.py` made the vectors and says how. `STEPSHIFT_LITERT_VECTORS=FILE` reads others that it made, of
//! another seed, say.

use serde::Deserialize;
use stepshift_runtime::format::{Activation, AffineBinaryKind, BinaryKind, Element, Shape, WeightBits, Window};
use stepshift_runtime::{Model, Session};
use stepshift_tests::reference;
use stepshift_trainer::export::{
    FixedPointLayer, FixedPointNetwork, FixedPointOp, FixedPointTensor, FixedPointWeights, Options, Prefer,
    affine_leaky, encode_with, scale_parts,
};

/// One line of the file.
#[derive(Deserialize)]
struct Case {
    op: String,
    fused: String,
    #[serde(default)]
    kernel: [u8; 2],
    #[serde(default)]
    stride: [u8; 2],
    #[serde(default)]
    padding: String,
    #[serde(default)]
    scales: Vec<String>,
    #[serde(default)]
    weights: Vec<i16>,
    #[serde(default)]
    bias: Vec<i64>,
    /// Bit 0 for rows, 1 for columns, 2 for channels.
    #[serde(default)]
    axes: u8,
    /// Of a concatenation.
    #[serde(default)]
    axis: u8,
    /// First place of a slice, or zeros before the input of a pad.
    #[serde(default)]
    start: [u16; 3],
    /// Of a transpose.
    #[serde(default)]
    order: [u8; 3],
    /// Of a leaky ReLU.
    #[serde(default)]
    slope: f64,
    inputs: Vec<Values>,
    output: Values,
}

#[derive(Deserialize)]
struct Values {
    shape: [u16; 3],
    scale: String,
    zero: i16,
    codes: Vec<i16>,
}

impl Values {
    fn tensor(&self) -> FixedPointTensor {
        let [h, w, c] = self.shape;
        let (mantissa, exponent) = parts(&self.scale);
        FixedPointTensor { mantissa, zero: self.zero, ..FixedPointTensor::i8(Shape { h, w, c }, exponent) }
    }
}

fn parts(scale: &str) -> (u32, i8) {
    scale_parts(scale.parse().unwrap()).unwrap()
}

impl Case {
    /// The operator on its inputs; further ones than the first are made of it by tables.
    fn network(&self) -> FixedPointNetwork {
        let input = self.inputs[0].tensor();
        let mut layers = Vec::new();
        if self.op == "concat" {
            return self.concatenation();
        }
        let mut inputs = vec![0];
        if let Some(second) = self.inputs.get(1) {
            // One input holds both operands, row behind row.
            let both = FixedPointTensor { shape: Shape { h: 2 * input.shape.h, ..input.shape }, ..input };
            let start = [input.shape.h, 0, 0];
            layers.push(layer("a", vec![0], input, FixedPointOp::Slice { start: [0; 3] }));
            layers.push(layer("b as a", vec![0], input, FixedPointOp::Slice { start }));
            let codes = (-128..=127).collect();
            layers.push(layer("b", vec![2], second.tensor(), FixedPointOp::Table { codes }));
            inputs = vec![1, 3];
            layers.push(self.layer(inputs));
            return FixedPointNetwork { input: both, layers };
        }
        if self.op == "upsample_bilinear" {
            // Each pixel sixteen times, for the means of 4 x 4.
            for times in [2, 4] {
                let Shape { h, w, c } = input.shape;
                let output = FixedPointTensor { shape: Shape { h: times * h, w: times * w, c }, ..input };
                layers.push(layer(&format!("times {times}"), inputs.clone(), output, FixedPointOp::UpsampleNearest));
                inputs = vec![layers.len()];
            }
        }
        layers.push(self.layer(inputs));
        FixedPointNetwork { input, layers }
    }

    /// Slices of one input, which holds the parts side by side, put together again.
    fn concatenation(&self) -> FixedPointNetwork {
        let input = self.output.tensor();
        let (mut layers, mut start) = (Vec::new(), [0; 3]);
        for (index, part) in self.inputs.iter().enumerate() {
            layers.push(layer(&format!("part {index}"), vec![0], part.tensor(), FixedPointOp::Slice { start }));
            start[usize::from(self.axis)] += part.shape[usize::from(self.axis)];
        }
        layers.push(self.layer((1..=self.inputs.len()).collect()));
        FixedPointNetwork { input, layers }
    }

    fn layer(&self, inputs: Vec<usize>) -> FixedPointLayer {
        FixedPointLayer { activation: self.activation(), ..layer("op", inputs, self.output.tensor(), self.op()) }
    }

    fn op(&self) -> FixedPointOp {
        match self.op.as_str() {
            "conv2d" => FixedPointOp::Conv2d { window: self.window(), groups: 1, weights: self.weights() },
            "depthwise_conv2d" => FixedPointOp::DepthwiseConv2d { window: self.window(), weights: self.weights() },
            "fully_connected" => FixedPointOp::FullyConnected { weights: self.weights() },
            "add" => FixedPointOp::AffineBinary(AffineBinaryKind::Add),
            "sub" => FixedPointOp::AffineBinary(AffineBinaryKind::Sub),
            "mul" => FixedPointOp::AffineBinary(AffineBinaryKind::Mul),
            "average_pool2d" => FixedPointOp::AffineAveragePool2d { window: self.window() },
            "transpose_conv2d" => FixedPointOp::TransposeConv2d { window: self.transposed(), weights: self.weights() },
            "mean" => FixedPointOp::AffineMean { axes: self.axes },
            "softmax" => FixedPointOp::AffineSoftmax,
            "concat" => FixedPointOp::Concat { axis: self.axis },
            "pad" => FixedPointOp::Pad { before: self.start, value: self.output.zero },
            "slice" => FixedPointOp::Slice { start: self.start },
            "reshape" => FixedPointOp::Reshape,
            "transpose" => FixedPointOp::Transpose { order: self.order },
            "upsample_nearest" => FixedPointOp::UpsampleNearest,
            "minimum" => FixedPointOp::Binary(BinaryKind::Minimum),
            "maximum" => FixedPointOp::Binary(BinaryKind::Maximum),
            "leaky_relu" => affine_leaky(self.slope, self.inputs[0].tensor(), self.output.tensor()).unwrap(),
            "quantize" => affine_leaky(1.0, self.inputs[0].tensor(), self.output.tensor()).unwrap(),
            "upsample_bilinear" => {
                let around = Window { pad_top: 1, pad_bottom: 1, pad_left: 1, pad_right: 1, ..Window::new(4, 4) };
                FixedPointOp::AffineAveragePool2d { window: Window { stride_h: 2, stride_w: 2, ..around } }
            }
            "max_pool2d" => FixedPointOp::MaxPool2d { window: self.window() },
            // To another scale by a convolution with ones.
            "requantize" => {
                let out_ch = self.output.shape[2].into();
                let weights = FixedPointWeights {
                    bits: WeightBits::Two,
                    codes: vec![1; out_ch],
                    exponents: vec![0; out_ch],
                    mantissas: vec![1; out_ch],
                    bias: vec![0; out_ch],
                };
                FixedPointOp::DepthwiseConv2d { window: Window::new(1, 1), weights }
            }
            other => panic!("unknown operator {other}"),
        }
    }

    fn weights(&self) -> FixedPointWeights {
        let scales: Vec<_> = self.scales.iter().map(|scale| parts(scale)).cycle().take(self.bias.len()).collect();
        let (mantissas, exponents) = scales.into_iter().unzip();
        let (codes, bias) = (self.weights.clone(), self.bias.clone());
        FixedPointWeights { bits: WeightBits::Eight, codes, exponents, mantissas, bias }
    }

    /// TensorFlow's "same": as much padding as keeps the size, one less before than after where it is odd.
    fn window(&self) -> Window {
        let ([kernel_h, kernel_w], [stride_h, stride_w]) = (self.kernel, self.stride);
        let around = |axis: usize| {
            let (kernel, stride) = (i32::from(self.kernel[axis]), i32::from(self.stride[axis]));
            let (len, out) = (i32::from(self.inputs[0].shape[axis]), i32::from(self.output.shape[axis]));
            let total = if self.padding == "same" { ((out - 1) * stride + kernel - len).max(0) } else { 0 };
            [total / 2, total - total / 2].map(|pad| pad as u8)
        };
        let ([pad_top, pad_bottom], [pad_left, pad_right]) = (around(0), around(1));
        let place = Window { pad_top, pad_bottom, pad_left, pad_right, ..Window::new(kernel_h, kernel_w) };
        Window { stride_h, stride_w, ..place }
    }

    /// What TensorFlow's "same" cuts off a transposed convolution: all that is more than `len * stride`.
    fn transposed(&self) -> Window {
        let ([kernel_h, kernel_w], [stride_h, stride_w]) = (self.kernel, self.stride);
        let cut = |axis: usize| {
            let whole = (self.inputs[0].shape[axis] - 1) * u16::from(self.stride[axis]) + u16::from(self.kernel[axis]);
            let total = whole - self.output.shape[axis];
            [total / 2, total - total / 2].map(|pad| pad as u8)
        };
        let ([pad_top, pad_bottom], [pad_left, pad_right]) = (cut(0), cut(1));
        let place = Window { pad_top, pad_bottom, pad_left, pad_right, ..Window::new(kernel_h, kernel_w) };
        Window { stride_h, stride_w, ..place }
    }

    fn activation(&self) -> Activation {
        let full = Activation::full(Element::I8);
        let zero = i32::from(self.output.zero);
        let six = zero + (6.0 / self.output.scale.parse::<f32>().unwrap()).round() as i32;
        match self.fused.as_str() {
            "relu" => Activation { min: self.output.zero, ..full },
            "relu6" => Activation { min: self.output.zero, max: six.min(127) as i16 },
            _ => full,
        }
    }

    fn input(&self) -> Vec<i16> {
        if self.op == "concat" {
            // The whole, of which the network takes the parts.
            return self.output.codes.clone();
        }
        self.inputs.iter().flat_map(|values| values.codes.iter().copied()).collect()
    }
}

fn layer(name: &str, inputs: Vec<usize>, output: FixedPointTensor, op: FixedPointOp) -> FixedPointLayer {
    let activation = Activation::full(output.element);
    FixedPointLayer { name: name.to_owned(), inputs, output, activation, op }
}

#[test]
fn every_operator_gives_the_codes_of_litert() {
    let own = include_str!("../fixtures/litert.json").to_owned();
    let path = std::env::var_os("STEPSHIFT_LITERT_VECTORS");
    let text = path.map_or(own, |path| std::fs::read_to_string(path).unwrap());
    let mut operators = std::collections::BTreeSet::new();
    for (number, line) in (1..).zip(text.lines()) {
        let case: Case = serde_json::from_str(line).unwrap();
        let network = case.network();
        let place = format!("line {number}, {}", case.op);
        for prefer in [Prefer::Memory, Prefer::Speed] {
            let options = Options { prefer, ..Options::default() };
            let bytes = encode_with(&network, options).unwrap_or_else(|error| panic!("{place}: {error}"));
            let model = Model::parse(&bytes).unwrap();
            let mut arena = vec![0; model.arena_bytes()];
            let mut session = Session::new(model, &mut arena).unwrap();
            session.input_mut().copy_from(case.input());
            session.run();
            assert_eq!(session.output().iter().collect::<Vec<_>>(), case.output.codes, "{place}: runtime, {prefer:?}");
        }
        let tensors = reference::evaluate(&network, &case.input());
        assert_eq!(*tensors.last().unwrap(), case.output.codes, "{place}: reference");
        operators.insert(case.op);
    }
    assert_eq!(operators.len(), 23, "{operators:?}");
}
