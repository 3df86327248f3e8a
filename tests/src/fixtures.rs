//! Networks with known contents.

use std::borrow::ToOwned;
use std::vec::Vec;

use stepshift_runtime::format::{Activation, BinaryKind, Element, Mean, Shape, WeightBits, Window};
use stepshift_trainer::export::{
    FixedPointLayer, FixedPointNetwork, FixedPointOp, FixedPointTensor, FixedPointWeights,
};

fn tensor(h: u16, w: u16, c: u16) -> FixedPointTensor {
    FixedPointTensor::i8(Shape { h, w, c }, -4)
}

/// A layer of all of an `i8`.
fn layer(name: &str, inputs: &[usize], output: FixedPointTensor, op: FixedPointOp) -> FixedPointLayer {
    let activation = Activation::full(Element::I8);
    FixedPointLayer { name: name.to_owned(), inputs: inputs.to_vec(), output, activation, op }
}

/// 4x4x2 input, conv 3x3 -> depthwise 3x3 -> add of both -> average -> ReLU -> fully connected:
/// one node of every operator.
#[must_use]
pub fn small_network() -> FixedPointNetwork {
    let window = Window { pad_top: 1, pad_bottom: 1, pad_left: 1, pad_right: 1, ..Window::new(3, 3) };
    let weights = |len, out_ch| FixedPointWeights {
        bits: WeightBits::Eight,
        codes: (0..len * out_ch).map(|i| (i % 7) as i16 - 3).collect(),
        exponents: std::vec![-7; out_ch],
        mantissas: Vec::new(),
        bias: std::vec![5; out_ch],
    };
    FixedPointNetwork {
        input: tensor(4, 4, 2),
        layers: std::vec![
            layer("conv", &[0], tensor(4, 4, 3), FixedPointOp::Conv2d { window, groups: 1, weights: weights(18, 3) }),
            layer("depthwise", &[1], tensor(4, 4, 3), FixedPointOp::DepthwiseConv2d { window, weights: weights(9, 3) }),
            layer("add", &[1, 2], tensor(4, 4, 3), FixedPointOp::Binary(BinaryKind::Add)),
            layer("pool", &[3], tensor(4, 4, 3), FixedPointOp::MaxPool2d { window }),
            layer("average", &[4], tensor(1, 1, 3), FixedPointOp::Mean { axes: Mean::GLOBAL }),
            FixedPointLayer {
                activation: Activation::relu(Element::I8),
                ..layer("relu", &[5], tensor(1, 1, 3), FixedPointOp::Clip)
            },
            layer("fc", &[6], tensor(1, 1, 4), FixedPointOp::FullyConnected { weights: weights(3, 4) }),
        ],
    }
}

/// 39 inputs, fully connected to 5 outputs: sums whose length no power of two divides, and no convolution.
#[must_use]
pub fn connected_network() -> FixedPointNetwork {
    let tensor = |c| FixedPointTensor::i8(Shape { h: 1, w: 1, c }, -4);
    let weights = FixedPointWeights {
        bits: WeightBits::Eight,
        codes: (0..39 * 5).map(|i| i % 255 - 127).collect(),
        exponents: std::vec![-9; 5],
        mantissas: Vec::new(),
        bias: std::vec![-3; 5],
    };
    FixedPointNetwork {
        input: tensor(39),
        layers: std::vec![FixedPointLayer {
            name: "fc".to_owned(),
            inputs: std::vec![0],
            output: tensor(5),
            activation: Activation::full(Element::I8),
            op: FixedPointOp::FullyConnected { weights },
        }],
    }
}

/// 8x8x3 input, three convolutions with padding whose rows are whole tiles of four pixels, of 3 and of 4 channels, the last by a
/// stride of 2; then fully connected by weights of 16 bits.
#[must_use]
pub fn tiled_network() -> FixedPointNetwork {
    let weights = |bits, step: usize, len: usize, out_ch: usize| FixedPointWeights {
        bits,
        codes: (0..len * out_ch).map(|i| (i * step % 251) as i16 - 125).collect(),
        exponents: std::vec![-11; out_ch],
        mantissas: Vec::new(),
        bias: std::vec![9; out_ch],
    };
    let padded = Window { pad_top: 1, pad_bottom: 1, pad_left: 1, pad_right: 1, ..Window::new(3, 3) };
    let halved = Window { stride_h: 2, stride_w: 2, pad_bottom: 1, pad_right: 1, ..Window::new(3, 3) };
    let conv = |window, step, in_ch: usize, out_ch| FixedPointOp::Conv2d {
        window,
        groups: 1,
        weights: weights(WeightBits::Eight, step, 9 * in_ch, out_ch),
    };
    let fc = FixedPointOp::FullyConnected { weights: weights(WeightBits::Sixteen, 19, 128, 6) };
    FixedPointNetwork {
        input: tensor(8, 8, 3),
        layers: std::vec![
            layer("first", &[0], tensor(8, 8, 4), conv(padded, 11, 3, 4)),
            FixedPointLayer {
                activation: Activation::relu(Element::I8),
                ..layer("second", &[1], tensor(8, 8, 4), conv(padded, 13, 4, 4))
            },
            layer("third", &[2], tensor(4, 4, 8), conv(halved, 17, 4, 8)),
            layer("fc", &[3], tensor(1, 1, 6), fc),
        ],
    }
}

/// 5x5x6 input, a depthwise convolution whose channels are no multiple of 4, one to 4 channels whose rows are no whole tiles, and
/// fully connected to 5 outputs.
#[must_use]
pub fn uneven_network() -> FixedPointNetwork {
    let weights = |len: usize, out_ch: usize| FixedPointWeights {
        bits: WeightBits::Eight,
        codes: (0..len * out_ch).map(|i| (i * 29 % 251) as i16 - 125).collect(),
        exponents: std::vec![-10; out_ch],
        mantissas: Vec::new(),
        bias: std::vec![-5; out_ch],
    };
    let window = Window { pad_top: 1, pad_bottom: 1, pad_left: 1, pad_right: 1, ..Window::new(3, 3) };
    let depthwise = FixedPointOp::DepthwiseConv2d { window, weights: weights(9, 6) };
    let conv = FixedPointOp::Conv2d { window, groups: 1, weights: weights(54, 4) };
    FixedPointNetwork {
        input: tensor(5, 5, 6),
        layers: std::vec![
            layer("depthwise", &[0], tensor(5, 5, 6), depthwise),
            layer("conv", &[1], tensor(5, 5, 4), conv),
            layer("fc", &[2], tensor(1, 1, 5), FixedPointOp::FullyConnected { weights: weights(100, 5) }),
        ],
    }
}

/// 8x6x4 input, a mean over 2x2 by 2.
#[must_use]
pub fn quarter_network() -> FixedPointNetwork {
    let tensor = |h, w| FixedPointTensor::i8(Shape { h, w, c: 4 }, -4);
    let window = Window { stride_h: 2, stride_w: 2, ..Window::new(2, 2) };
    FixedPointNetwork {
        input: tensor(8, 6),
        layers: std::vec![FixedPointLayer {
            name: "average".to_owned(),
            inputs: std::vec![0],
            output: tensor(4, 3),
            activation: Activation::full(Element::I8),
            op: FixedPointOp::AveragePool2d { window },
        }],
    }
}
