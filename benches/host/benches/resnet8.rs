//! An inference of ResNet-8 on 32x32x3 inputs, by every instruction set that the processor has:
//!
//! ```sh
//! cargo bench --package stepshift-host-bench
//! ```
//!
//! Weights look random; what is measured does not depend on them. Every code of the output is compared before.

use std::hint::black_box;

use criterion::{Criterion, criterion_group, criterion_main};
use stepshift_runtime::format::{Activation, BinaryKind, Element, Mean, Shape, WeightBits, Window};
use stepshift_runtime::{InstructionSet, Model, Session};
use stepshift_trainer::export::{
    FixedPointLayer, FixedPointNetwork, FixedPointOp, FixedPointTensor, FixedPointWeights, encode,
};

const ACTIVATION_EXPONENT: i8 = -4;
const WEIGHT_EXPONENT: i8 = -9;

/// A network that grows layer by layer.
struct Builder {
    network: FixedPointNetwork,
}

impl Builder {
    fn new(input: Shape) -> Self {
        let input = FixedPointTensor::i8(input, ACTIVATION_EXPONENT);
        Self { network: FixedPointNetwork { input, layers: Vec::new() } }
    }

    /// Index of the tensor that the layer writes.
    fn layer(&mut self, inputs: &[usize], shape: Shape, relu: bool, op: FixedPointOp) -> usize {
        let number = self.network.layers.len() + 1;
        self.network.layers.push(FixedPointLayer {
            name: format!("layer{number}"),
            inputs: inputs.to_vec(),
            output: FixedPointTensor::i8(shape, ACTIVATION_EXPONENT),
            activation: if relu { Activation::relu(Element::I8) } else { Activation::full(Element::I8) },
            op,
        });
        number
    }

    /// A convolution whose padding keeps the size, or its half.
    fn conv2d(&mut self, input: usize, out_ch: u16, kernel: u8, stride: u8, relu: bool) -> usize {
        let Shape { h, w, c } = self.network.tensor(input).shape;
        let total = kernel.saturating_sub(stride);
        let window = Window {
            stride_h: stride,
            stride_w: stride,
            pad_top: total / 2,
            pad_left: total / 2,
            pad_bottom: total - total / 2,
            pad_right: total - total / 2,
            ..Window::new(kernel, kernel)
        };
        let (h, w) = window.output_size(h, w).expect("the window fits");
        let weights = weights(out_ch.into(), window.taps() * usize::from(c));
        self.layer(&[input], Shape { h, w, c: out_ch }, relu, FixedPointOp::Conv2d { window, groups: 1, weights })
    }

    /// Two convolutions beside a shortcut, which is a convolution where the size changes.
    fn block(&mut self, input: usize, out_ch: u16, stride: u8) -> usize {
        let shortcut = if stride == 1 { input } else { self.conv2d(input, out_ch, 1, stride, false) };
        let inner = self.conv2d(input, out_ch, 3, stride, true);
        let inner = self.conv2d(inner, out_ch, 3, 1, false);
        let shape = self.network.tensor(inner).shape;
        self.layer(&[inner, shortcut], shape, true, FixedPointOp::Binary(BinaryKind::Add))
    }
}

fn weights(out_ch: usize, filter_len: usize) -> FixedPointWeights {
    let mut state = 7_u32;
    let mut code = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (((state >> 16) * 255) >> 16) as i16 - 127
    };
    let codes = (0..out_ch * filter_len).map(|_| code()).collect();
    let exponents = (0..out_ch).map(|channel| WEIGHT_EXPONENT - (channel % 2) as i8).collect();
    let bias = (0..out_ch as i64).map(|channel| 50 * channel - 300).collect();
    FixedPointWeights { bits: WeightBits::Eight, codes, exponents, mantissas: Vec::new(), bias }
}

/// MLPerf Tiny's network for image classification.
fn resnet8() -> FixedPointNetwork {
    let mut builder = Builder::new(Shape { h: 32, w: 32, c: 3 });
    let first = builder.conv2d(0, 16, 3, 1, true);
    let block = builder.block(first, 16, 1);
    let block = builder.block(block, 32, 2);
    let block = builder.block(block, 64, 2);
    let pool = builder.layer(&[block], Shape { h: 1, w: 1, c: 64 }, false, FixedPointOp::Mean { axes: Mean::GLOBAL });
    let weights = weights(10, 64);
    builder.layer(&[pool], Shape { h: 1, w: 1, c: 10 }, false, FixedPointOp::FullyConnected { weights });
    builder.network
}

fn fill(bytes: &mut [u8]) {
    let mut state = 1_u32;
    for byte in bytes {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        *byte = (state >> 24) as u8;
    }
}

fn inference(criterion: &mut Criterion) {
    let bytes = encode(&resnet8()).expect("the network is consistent");
    let model = Model::parse(&bytes).expect("the exporter's models load");
    let mut group = criterion.benchmark_group("resnet8");
    let mut expected: Option<Vec<u8>> = None;
    for set in InstructionSet::ALL.into_iter().filter(|set| *set <= InstructionSet::detected()) {
        let mut arena = vec![0; model.arena_bytes()];
        let mut session = Session::new(model, &mut arena).expect("the arena is large enough");
        session.restrict_to(set);
        fill(session.input_mut().into_bytes());
        session.run();
        let by_set = (0..model.node_count()).filter(|node| session.ran_by(*node) == set).count();
        assert_eq!(by_set, model.node_count(), "layers ran without {}", set.name());
        let output = session.output().bytes().to_vec();
        assert_eq!(expected.get_or_insert_with(|| output.clone()), &output, "{} differs", set.name());
        group.bench_function(set.name(), |bencher| {
            bencher.iter(|| {
                fill(session.input_mut().into_bytes());
                session.run();
                black_box(session.output().bytes()[0])
            });
        });
    }
    group.finish();
}

criterion_group!(benches, inference);
criterion_main!(benches);
