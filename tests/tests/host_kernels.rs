//! The kernels of the host's processor against the portable ones, on layers wide enough to fill their vectors.

use proptest::prelude::*;
use stepshift_runtime::format::{BinaryKind, Mean, Op, Shape, Window};
use stepshift_runtime::{InstructionSet, Model, Session};
use stepshift_tests::random;
use stepshift_trainer::export::{FixedPointNetwork, encode};
use stepshift_trainer::network::{Layer, LayerActivation, LayerOp, Network};

/// What every node writes, by one instruction set; fails where a layer that has a kernel for it ran by another.
fn outputs(network: &FixedPointNetwork, input: &[i16], set: InstructionSet) -> Vec<Vec<u8>> {
    let bytes = encode(network).unwrap_or_else(|error| panic!("{error}"));
    let model = Model::parse(&bytes).unwrap();
    let mut arena = vec![0x5a; model.arena_bytes()];
    let mut session = Session::new(model, &mut arena).unwrap();
    session.restrict_to(set);
    session.input_mut().copy_from(input.iter().copied());
    let mut outputs = Vec::new();
    session.run_observed(|output| outputs.push(output.codes.bytes().to_vec()));
    for (index, node) in model.nodes().enumerate() {
        let has_kernel = matches!(
            node.op,
            Op::Conv2d(_)
                | Op::DepthwiseConv2d(_)
                | Op::FullyConnected(_)
                | Op::Binary(_)
                | Op::AffineBinary(_)
                | Op::MaxPool2d(_)
                | Op::AveragePool2d(_)
                | Op::Mean(_)
        );
        if has_kernel {
            assert_eq!(session.ran_by(index), set, "layer {} of {:?}", node.name, node.op.kind());
        }
    }
    outputs
}

/// The processor's own list of features, read apart from the runtime's.
fn expected_set() -> InstructionSet {
    #[cfg(target_arch = "x86_64")]
    if std::arch::is_x86_feature_detected!("avx512vnni") && std::arch::is_x86_feature_detected!("avx512bw") {
        return InstructionSet::Avx512Vnni;
    } else if std::arch::is_x86_feature_detected!("avx2") {
        return InstructionSet::Avx2;
    }
    InstructionSet::Portable
}

fn wider_sets() -> impl Iterator<Item = InstructionSet> {
    InstructionSet::ALL.into_iter().filter(|set| *set != InstructionSet::Portable && *set <= expected_set())
}

/// Channels around the width of every vector, and of two of them.
const CHANNELS: [u16; 12] = [1, 3, 7, 8, 9, 15, 16, 17, 31, 32, 33, 48];

fn channels() -> impl Strategy<Value = u16> {
    prop_oneof![proptest::sample::select(&CHANNELS[..]), Just(16), Just(32)]
}

/// Convolutions of every stride, dilation and padding, among them those of 3x3 that Winograd's algorithm runs.
fn convolutions() -> impl Strategy<Value = Network> {
    let square = prop_oneof![Just(((3_u8, 3_u8), (1_u8, 1_u8), (1_u8, 1_u8))), windows()];
    let sizes = (1..=11_u16, 1..=11_u16, channels(), channels());
    (sizes, square, proptest::array::uniform4(0..3_u8), 1..=4_u16, any::<bool>()).prop_map(
        |((h, w, c, out_ch), (kernel, stride, dilation), pad, groups, relu)| {
            let window = fitting(Shape { h, w, c }, kernel, stride, dilation, pad);
            let groups = if c.is_multiple_of(groups) { groups } else { 1 };
            let out_ch = out_ch.next_multiple_of(groups);
            let op = LayerOp::Conv2d { window, out_ch, groups, batch_norm: false };
            sliding(Shape { h, w, c }, out_ch, window, op, relu)
        },
    )
}

fn windows() -> impl Strategy<Value = ((u8, u8), (u8, u8), (u8, u8))> {
    ((1..=4_u8, 1..=4_u8), (1..=3_u8, 1..=3_u8), (1..=2_u8, 1..=3_u8))
}

/// Depthwise convolutions and pools.
fn by_channel() -> impl Strategy<Value = Network> {
    let sizes = (1..=9_u16, 1..=9_u16, channels());
    (sizes, windows(), proptest::array::uniform4(0..3_u8), 0..3_u8).prop_map(
        |((h, w, c), (kernel, stride, dilation), pad, kind)| {
            let dilation = if kind == 0 { dilation } else { (1, 1) };
            let window = fitting(Shape { h, w, c }, kernel, stride, dilation, pad);
            let op = match kind {
                0 => LayerOp::DepthwiseConv2d { window, multiplier: 1, batch_norm: false },
                1 => LayerOp::MaxPool2d { window },
                _ => LayerOp::AveragePool2d { window },
            };
            sliding(Shape { h, w, c }, c, window, op, false)
        },
    )
}

/// Two tensors code by code, a mean of the result, and a fully connected layer of that.
fn flat() -> impl Strategy<Value = Network> {
    const KINDS: [BinaryKind; 5] =
        [BinaryKind::Add, BinaryKind::Sub, BinaryKind::Mul, BinaryKind::Minimum, BinaryKind::Maximum];
    (1..=6_u16, 1..=6_u16, channels(), channels(), proptest::sample::select(&KINDS[..]), any::<bool>()).prop_map(
        |(h, w, c, out_ch, kind, relu)| {
            let input = Shape { h, w, c };
            let layer = |name: &str, inputs: Vec<usize>, op, output| Layer {
                name: name.to_owned(),
                inputs,
                op,
                activation: if relu { LayerActivation::Relu } else { LayerActivation::None },
                output,
            };
            let point = |c| Shape { h: 1, w: 1, c };
            let layers = vec![
                layer("rescale", vec![0], LayerOp::Rescale, input),
                layer("binary", vec![1, 0], LayerOp::Binary(kind), input),
                layer("dense", vec![2], LayerOp::FullyConnected { out_ch }, point(out_ch)),
                layer("pool", vec![2], LayerOp::Mean { axes: Mean::GLOBAL }, point(c)),
                layer("last", vec![4], LayerOp::FullyConnected { out_ch: 2 }, point(2)),
                layer("both", vec![3, 5], LayerOp::Concat { axis: 2 }, point(out_ch + 2)),
            ];
            let last = Layer { activation: LayerActivation::None, ..layers[5].clone() };
            Network { input, layers: layers.into_iter().take(5).chain([last]).collect(), cells: Vec::new() }
        },
    )
}

/// The window, without what does not fit the input.
fn fitting(input: Shape, kernel: (u8, u8), stride: (u8, u8), dilation: (u8, u8), pad: [u8; 4]) -> Window {
    let axis = |kernel: u8, dilation: u8, len: u16, before: u8, after: u8| {
        let span = (kernel - 1) * dilation + 1;
        let (before, after) = (before % span, after % span);
        let fits = u16::from(span) <= len + u16::from(before) + u16::from(after);
        if fits { (kernel, dilation, before, after) } else { (1, 1, 0, 0) }
    };
    let (kernel_h, dilation_h, pad_top, pad_bottom) = axis(kernel.0, dilation.0, input.h, pad[0], pad[1]);
    let (kernel_w, dilation_w, pad_left, pad_right) = axis(kernel.1, dilation.1, input.w, pad[2], pad[3]);
    let (stride_h, stride_w) = stride;
    Window { kernel_h, kernel_w, stride_h, stride_w, dilation_h, dilation_w, pad_top, pad_bottom, pad_left, pad_right }
}

fn sliding(input: Shape, out_ch: u16, window: Window, op: LayerOp, relu: bool) -> Network {
    let (h, w) = window.output_size(input.h, input.w).expect("the window is made to fit");
    let activation = if relu { LayerActivation::Relu } else { LayerActivation::None };
    let output = Shape { h, w, c: out_ch };
    Network {
        input,
        layers: vec![Layer { name: "layer".to_owned(), inputs: vec![0], op, activation, output }],
        cells: Vec::new(),
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 600, ..ProptestConfig::default() })]

    #[test]
    fn every_instruction_set_gives_the_bits_of_the_portable_kernels(
        network in prop_oneof![3 => convolutions(), 1 => by_channel(), 1 => flat()], seed in any::<u64>(),
    ) {
        let power_of_two = random::inference_only(&network, seed);
        for network in [Some(power_of_two), random::affine(&network, seed)].into_iter().flatten() {
            let input = random::input_codes(network.input, seed);
            let expected = outputs(&network, &input, InstructionSet::Portable);
            for set in wider_sets() {
                prop_assert_eq!(&outputs(&network, &input, set), &expected, "{}", set.name());
            }
        }
    }
}

/// A session uses the widest instruction set of its processor, and says so.
#[test]
fn the_widest_instruction_set_is_the_one_that_runs() {
    assert_eq!(InstructionSet::detected(), expected_set());
    let input = Shape { h: 6, w: 6, c: 16 };
    let window = Window::new(3, 3);
    let op = LayerOp::Conv2d { window, out_ch: 16, groups: 1, batch_norm: false };
    let network = random::fixed_point(&sliding(input, 16, window, op, true), 1);
    let bytes = encode(&network).unwrap();
    let model = Model::parse(&bytes).unwrap();
    let mut arena = vec![0; model.arena_bytes()];
    let mut session = Session::new(model, &mut arena).unwrap();
    session.run();
    assert_eq!(session.ran_by(0), expected_set());
}
