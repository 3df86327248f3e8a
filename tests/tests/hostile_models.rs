//! Model files that were cut, damaged or made to harm: refused with a reason, never a panic.

use proptest::prelude::*;
use stepshift_runtime::format::{
    Activation, AffineBinaryKind, BinaryKind, Certificate, Conv2d, DepthwiseConv2d, Element, Epilogue, FORMAT_VERSION,
    HEADER_BYTES, Header, MAGIC, ModelFile, Needs, Node, Op, Packing, PatchInput, Scratch, Shape, Slice, TensorRecord,
    WeightBits, Window,
};
use stepshift_runtime::{
    Backend, InstructionSet, LoadError, Model, NodeFault, RunError, SelfTestError, Session, TensorFault,
};
use stepshift_tests::fixtures::small_network;
use stepshift_tests::random;
use stepshift_trainer::export::encode::assemble;
use stepshift_trainer::export::patches::Patching;
use stepshift_trainer::export::{
    FixedPointLayer, FixedPointNetwork, FixedPointOp, FixedPointTensor, FixedPointWeights, Options, Prefer, encode,
    encode_with,
};

/// A way to load a model.
type Load = fn(&[u8]) -> Result<Model<'_>, LoadError>;

/// A network's file after `change`, with a checksum that fits, and what loading it says.
fn reload(
    network: &FixedPointNetwork,
    change: impl FnOnce(&mut Needs, &mut Vec<TensorRecord>, &mut [Node<'_>]),
) -> Result<(), LoadError> {
    reload_file(&encode(network).unwrap(), None, change)
}

/// As [`reload`], of a file, with a certificate or without.
fn reload_file(
    good: &[u8],
    certificate: Option<Certificate<'_>>,
    change: impl FnOnce(&mut Needs, &mut Vec<TensorRecord>, &mut [Node<'_>]),
) -> Result<(), LoadError> {
    Model::parse(&changed(good, certificate, change)).map(|_| ())
}

/// A file after `change`, with a checksum that fits.
fn changed(
    good: &[u8],
    certificate: Option<Certificate<'_>>,
    change: impl FnOnce(&mut Needs, &mut Vec<TensorRecord>, &mut [Node<'_>]),
) -> Vec<u8> {
    let model = Model::parse(good).unwrap();
    let mut tensors: Vec<_> = (0..model.tensor_count()).map(|index| model.tensor(index).unwrap()).collect();
    let mut nodes: Vec<_> = model.nodes().collect();
    let (arena_bytes, links, operations) = (model.arena_bytes() as u32, model.links(), model.operations());
    let mut needs = Needs { arena_bytes, links, operations };
    change(&mut needs, &mut tensors, &mut nodes);
    let header = Header { magic: MAGIC, version: FORMAT_VERSION, crc: 0 };
    assemble(&ModelFile { header, needs, tensors: &tensors, nodes: &nodes, certificate })
}

/// As [`reload`], of a small network.
fn load_changed(change: impl FnOnce(&mut u32, &mut Vec<TensorRecord>, &mut [Node<'_>])) -> Result<(), LoadError> {
    reload(&small_network(), |needs, tensors, nodes| change(&mut needs.arena_bytes, tensors, nodes))
}

fn node(node: u16, reason: NodeFault) -> Result<(), LoadError> {
    Err(LoadError::Node { node, reason })
}

fn tensor_fault(tensor: u16, reason: TensorFault) -> Result<(), LoadError> {
    Err(LoadError::Tensor { tensor, reason })
}

#[test]
fn the_unchanged_file_loads() {
    assert_eq!(load_changed(|_, _, _| {}), Ok(()));
}

#[test]
fn every_truncation_is_refused() {
    let good = encode(&small_network()).unwrap();
    for len in 0..good.len() {
        assert!(Model::parse(&good[..len]).is_err(), "{len} of {} bytes were accepted", good.len());
    }
    let longer = [good.as_slice(), &[0]].concat();
    assert!(matches!(Model::parse(&longer), Err(LoadError::Checksum { .. })));
}

#[test]
fn every_flipped_bit_is_refused() {
    let good = encode(&small_network()).unwrap();
    for bit in 0..good.len() * 8 {
        let mut bad = good.clone();
        bad[bit / 8] ^= 1 << (bit % 8);
        assert!(Model::parse(&bad).is_err(), "bit {bit} may be flipped unnoticed");
    }
}

#[test]
fn other_versions_and_files_are_named() {
    let mut bytes = encode(&small_network()).unwrap();
    bytes[4] = 9;
    let error = Model::parse(&bytes).unwrap_err();
    assert_eq!(error, LoadError::Version { found: 9, supported: FORMAT_VERSION });
    assert_eq!(error.to_string(), "format version 9, this runtime reads 5: export the model again");
    assert_eq!(Model::parse(b"\x89PNG\r\n").unwrap_err(), LoadError::NotAModel);
    assert_eq!(Model::parse(&[]).unwrap_err(), LoadError::NotAModel);
}

#[test]
fn tensors_must_fit_the_arena_and_stay_apart() {
    assert_eq!(load_changed(|_, t, _| t[2].offset = 1 << 20), tensor_fault(2, TensorFault::OutsideArena));
    assert_eq!(load_changed(|_, t, _| t[1].offset = u32::MAX), tensor_fault(1, TensorFault::OutsideArena));
    assert_eq!(load_changed(|arena, _, _| *arena -= 1), tensor_fault(2, TensorFault::OutsideArena));
    assert_eq!(load_changed(|_, t, _| t[3].shape.c = 0), tensor_fault(3, TensorFault::Empty));
    assert_eq!(load_changed(|_, t, _| t[3].mantissa = 0), tensor_fault(3, TensorFault::Scale));
    assert_eq!(load_changed(|_, t, _| t[2].offset = t[1].offset), tensor_fault(2, TensorFault::Overlaps(1)));
    assert_eq!(load_changed(|_, t, _| t[2].offset = t[1].offset + 1), tensor_fault(2, TensorFault::Overlaps(1)));
    assert_eq!(load_changed(|_, t, _| t[0].offset = t[1].offset + 1), tensor_fault(1, TensorFault::Overlaps(0)));
    assert_eq!(load_changed(|_, t, _| t[7].last_use = 3), tensor_fault(7, TensorFault::OutputNotKept));
    assert_eq!(load_changed(|_, t, _| t.truncate(7)), tensor_fault(0, TensorFault::Count));
}

/// A convolution of 3x3 with 8 channels in and two out.
fn two_filters() -> FixedPointNetwork {
    let shape = |c| FixedPointTensor::i8(Shape { h: 8, w: 8, c }, -4);
    let weights = FixedPointWeights {
        bits: WeightBits::Eight,
        codes: (0..9 * 8 * 2).map(|code| code % 11 - 5).collect(),
        exponents: vec![-5; 2],
        mantissas: Vec::new(),
        bias: vec![3; 2],
    };
    let window = Window { pad_top: 1, pad_bottom: 1, pad_left: 1, pad_right: 1, ..Window::new(3, 3) };
    let layer = FixedPointLayer {
        name: "tiles".to_owned(),
        inputs: vec![0],
        output: shape(2),
        activation: Activation::full(Element::I8),
        op: FixedPointOp::Conv2d { window, groups: 1, weights },
    };
    FixedPointNetwork { input: shape(8), layers: vec![layer] }
}

#[test]
fn joined_weights_have_sums_of_24_bits() {
    let options = Options { backend: Backend::Dsp, ..Options::default() };
    let good = encode_with(&two_filters(), options).unwrap();
    let load = |change: fn(&mut Conv2d<'_>)| {
        reload_file(&good, None, |_, _, nodes| {
            let Op::Conv2d(op) = &mut nodes[0].op else { panic!() };
            assert_eq!((op.weights.packing, op.weights.bits), (Packing::Joined, WeightBits::Eight));
            change(op);
        })
    };
    let wide = |channel| Err(LoadError::AccumulatorOverflow { node: 0, channel });
    assert_eq!(load(|op| op.weights.bias = &[0, 0, 0x7f, 0, 0, 0, 0x81, 0xff]), Ok(()));
    assert_eq!(load(|op| op.weights.bias = &[0, 0, 0x80, 0, 0, 0, 0, 0]), wide(0));
    assert_eq!(load(|op| op.weights.bias = &[0, 0, 0, 0, 0, 0, 0x80, 0xff]), wide(1));
    let apart = |op: &mut Conv2d<'_>| {
        (op.weights.packing, op.weights.bias) = (Packing::Pairs, &[0, 0, 0x80, 0, 0, 0, 0x80, 0xff]);
    };
    assert_eq!(load(apart), node(0, NodeFault::Operator));
    assert_eq!(load(|op| op.weights.scratch.bytes -= 1), node(0, NodeFault::Scratch));
    assert_eq!(load(|op| op.weights.codes = &[0; 9 * 8]), node(0, NodeFault::BlobLength));
}

/// A fully connected layer of 2 outputs, for the Cortex-M4.
fn connected(len: u16, element: Element, bits: WeightBits) -> Vec<u8> {
    let tensor = |c| FixedPointTensor::i8(Shape { h: 1, w: 1, c }, -4);
    let weights = FixedPointWeights {
        bits,
        codes: vec![1; 2 * usize::from(len)],
        exponents: vec![-5; 2],
        mantissas: Vec::new(),
        bias: vec![3; 2],
    };
    let layers = vec![layer("fc", &[0], tensor(2), FixedPointOp::FullyConnected { weights })];
    let network = FixedPointNetwork { input: FixedPointTensor { element, ..tensor(len) }, layers };
    encode_with(&network, Options { backend: Backend::Dsp, ..Options::default() }).unwrap()
}

#[test]
fn a_fully_connected_layer_has_its_column_or_needs_none() {
    let load = |good: &[u8], bytes: u32| {
        reload_file(good, None, |needs, _, nodes| {
            let Op::FullyConnected(op) = &mut nodes[0].op else { panic!() };
            assert!(op.weights.packing.is_paired());
            // Behind the tensors, where it is in no one's way.
            op.weights.scratch = Scratch { offset: needs.arena_bytes, bytes };
            needs.arena_bytes += bytes;
        })
    };
    for (len, element, bits, needs_none) in [
        (5, Element::I8, WeightBits::Eight, true),
        (5, Element::U8, WeightBits::Four, true),
        (4, Element::I8, WeightBits::Eight, false),
        (5, Element::I16, WeightBits::Eight, false),
        (5, Element::I8, WeightBits::Sixteen, false),
    ] {
        let good = connected(len, element, bits);
        let needed = 2 * u32::from(len.next_multiple_of(4)) + 3;
        assert_eq!(load(&good, needed), Ok(()), "{len} of {element:?}, {bits:?}");
        for too_few in [1, needed - 1] {
            assert_eq!(load(&good, too_few), node(0, NodeFault::Scratch), "{len} of {element:?}, {bits:?}");
        }
        let without = if needs_none { Ok(()) } else { node(0, NodeFault::Scratch) };
        assert_eq!(load(&good, 0), without, "{len} of {element:?}, {bits:?}");
    }
}

#[test]
fn channels_whose_weights_are_there_twice_have_the_same_ones() {
    let tensor = FixedPointTensor::i8(Shape { h: 2, w: 2, c: 6 }, -4);
    let weights = FixedPointWeights {
        bits: WeightBits::Eight,
        codes: (0..6).collect(),
        exponents: vec![-5; 6],
        mantissas: Vec::new(),
        bias: vec![3; 6],
    };
    let op = FixedPointOp::DepthwiseConv2d { window: Window::new(1, 1), weights };
    let network = FixedPointNetwork { input: tensor, layers: vec![layer("depthwise", &[0], tensor, op)] };
    let good = encode_with(&network, Options { backend: Backend::Dsp, ..Options::default() }).unwrap();
    let load = |codes: &'static [u8]| {
        reload_file(&good, None, |_, _, nodes| {
            let Op::DepthwiseConv2d(op) = &mut nodes[0].op else { panic!() };
            op.weights.codes = codes;
        })
    };
    assert_eq!(load(&[0, 0, 2, 0, 1, 0, 3, 0, 2, 0, 4, 0, 3, 0, 5, 0]), Ok(()));
    assert_eq!(load(&[0, 0, 2, 0, 1, 0, 3, 0, 2, 0, 4, 0, 9, 0, 5, 0]), node(0, NodeFault::Packing));
    assert_eq!(load(&[0, 0, 9, 0, 1, 0, 3, 0, 2, 0, 4, 0, 3, 0, 5, 0]), node(0, NodeFault::Packing));
    assert_eq!(load(&[0, 0, 2, 0, 1, 0, 3, 0, 2, 0, 9, 0, 3, 0, 9, 0]), Ok(()));
    assert_eq!(load(&[0, 0, 2, 0, 1, 0, 3, 0, 4, 0, 5, 0]), node(0, NodeFault::BlobLength));
}

#[test]
fn tiles_have_their_scratch_and_are_the_transform_of_a_kernel() {
    let options = Options { backend: Backend::Dsp, prefer: Prefer::Speed, ..Options::default() };
    let good = encode_with(&two_filters(), options).unwrap();
    let load = |change: fn(&mut Conv2d<'_>)| {
        reload_file(&good, None, |_, _, nodes| {
            let Op::Conv2d(op) = &mut nodes[0].op else { panic!() };
            assert_eq!(op.weights.packing, Packing::Winograd);
            change(op);
        })
    };
    assert_eq!(load(|_| {}), Ok(()));
    assert_eq!(load(|op| op.weights.scratch.bytes -= 1), node(0, NodeFault::Scratch));
    assert_eq!(load(|op| op.weights.bits = WeightBits::Eight), node(0, NodeFault::Packing));
    assert_eq!(
        load(|op| op.window = Window { kernel_w: 1, pad_left: 0, pad_right: 0, ..op.window }),
        node(0, NodeFault::Packing)
    );
    assert_eq!(load(|op| op.weights.bias = &[0; 4]), node(0, NodeFault::BlobLength));
    // Places that no kernel has, and a bias that leaves no room for four times the sum.
    assert_eq!(load(|op| op.weights.codes = &[1; 2 * 16 * 8 * 2]), node(0, NodeFault::Packing));
    let wide = load(|op| op.weights.bias = &[0, 0, 0, 0x20, 0, 0, 0, 0x20]);
    assert_eq!(wide, Err(LoadError::AccumulatorOverflow { node: 0, channel: 0 }));
}

#[test]
fn an_operand_that_is_needed_later_is_not_overwritten() {
    // The sum lies over its first operand, which would have to live one node longer.
    let outcome = load_changed(|_, t, n| {
        let Op::Binary(op) = n[2].op else { panic!() };
        assert_eq!(t[usize::from(op.a)].offset, t[3].offset);
        t[usize::from(op.a)].last_use = 3;
    });
    assert!(matches!(outcome, Err(LoadError::Tensor { tensor: 3, reason: TensorFault::Overlaps(_) })), "{outcome:?}");
}

#[test]
fn reads_are_of_earlier_live_tensors() {
    fn conv(n: &mut [Node<'_>], input: u16) {
        let Op::Conv2d(op) = &mut n[0].op else { panic!() };
        op.input = input;
    }
    assert_eq!(load_changed(|_, _, n| conv(n, 1)), node(0, NodeFault::Input));
    assert_eq!(load_changed(|_, _, n| conv(n, u16::MAX)), node(0, NodeFault::Input));
    assert_eq!(load_changed(|_, t, _| t[1].last_use = 1), node(2, NodeFault::UseAfterLastUse));
}

#[test]
fn windows_shapes_and_lengths_must_agree() {
    type Change = fn(&mut stepshift_runtime::format::Conv2d<'_>);
    let conv = |change: Change| {
        load_changed(move |_, _, n| {
            let Op::Conv2d(op) = &mut n[0].op else { panic!() };
            change(op);
        })
    };
    assert_eq!(conv(|op| op.window.kernel_h = 0), node(0, NodeFault::Window));
    assert_eq!(conv(|op| op.window.stride_w = 0), node(0, NodeFault::Window));
    assert_eq!(conv(|op| op.window.kernel_h = 9), node(0, NodeFault::Window));
    assert_eq!(conv(|op| op.window.pad_left = 3), node(0, NodeFault::Window));
    assert_eq!(conv(|op| op.window.stride_h = 2), node(0, NodeFault::Shape));
    assert_eq!(conv(|op| op.weights.codes = &op.weights.codes[1..]), node(0, NodeFault::BlobLength));
    assert_eq!(conv(|op| op.weights.bias = &op.weights.bias[4..]), node(0, NodeFault::BlobLength));
    assert_eq!(conv(|op| op.weights.epilogue = Epilogue::Shift(&[])), node(0, NodeFault::BlobLength));
    assert_eq!(conv(|op| op.weights.epilogue = Epilogue::Shift(&[0; 2])), node(0, NodeFault::BlobLength));
    assert_eq!(conv(|op| op.weights.epilogue = Epilogue::Shift(&[31, 0, 0])), node(0, NodeFault::Shift));
    assert_eq!(conv(|op| op.weights.epilogue = Epilogue::Shift(&[0, 0x80, 0])), node(0, NodeFault::Shift));
    assert_eq!(conv(|op| op.weights.epilogue = Epilogue::Shift(&[0x80])), node(0, NodeFault::Shift));
    assert_eq!(conv(|op| op.weights.bits = WeightBits::Four), node(0, NodeFault::Operator));
    assert_eq!(conv(|op| op.activation.max = 128), node(0, NodeFault::Activation));
    assert_eq!(conv(|op| op.activation = Activation { min: 1, max: 0 }), node(0, NodeFault::Activation));
}

#[test]
fn exponents_shifts_and_reciprocals_must_agree() {
    assert_eq!(load_changed(|_, t, _| t[4].exponent = 3), node(3, NodeFault::Exponent));
    assert_eq!(load_changed(|_, t, _| t[6].exponent = 3), node(5, NodeFault::Exponent));
    assert_eq!(load_changed(|_, t, _| t[3].exponent = -3), node(2, NodeFault::Exponent));
    let add = |shift| {
        load_changed(move |_, _, n| {
            let Op::Binary(op) = &mut n[2].op else { panic!() };
            op.a_shift = shift;
        })
    };
    assert_eq!(add(23), node(2, NodeFault::Shift));
    assert_eq!(add(1), node(2, NodeFault::Exponent));
    let average = |multiplier, right_shift| {
        load_changed(move |_, _, n| {
            let Op::Mean(op) = &mut n[4].op else { panic!() };
            (op.multiplier, op.right_shift) = (multiplier, right_shift);
        })
    };
    assert_eq!(average(0, 4), node(4, NodeFault::Shift));
    assert_eq!(average(1, -1), node(4, NodeFault::Shift));
    assert_eq!(average(i32::MAX, 31), node(4, NodeFault::Shift));
}

#[test]
fn an_accumulator_that_could_overflow_is_refused_by_channel() {
    let mut bias = 5_i32.to_le_bytes().repeat(3);
    let limit = i32::MAX - 128 * (0..18).map(|i| ((18 + i) % 7 - 3_i32).abs()).sum::<i32>();
    bias[4..8].copy_from_slice(&limit.to_le_bytes());
    let load = |bias: &[u8]| {
        load_changed(|_, _, n| {
            let Op::Conv2d(op) = &mut n[0].op else { panic!() };
            // The nodes borrow from a file that outlives this call no longer than the closure does.
            op.weights.bias = bias.to_vec().leak();
        })
    };
    assert_eq!(load(&bias), Ok(()), "the bound itself is legal");
    bias[4..8].copy_from_slice(&(limit + 1).to_le_bytes());
    assert_eq!(load(&bias), Err(LoadError::AccumulatorOverflow { node: 0, channel: 1 }));
    bias[4..8].copy_from_slice(&i32::MIN.to_le_bytes());
    assert_eq!(load(&bias), Err(LoadError::AccumulatorOverflow { node: 0, channel: 1 }));
}

/// One node of an operator that [`small_network`] has not, after `change`.
fn load_node(
    op: FixedPointOp,
    inputs: &[usize],
    output: FixedPointTensor,
    change: impl FnOnce(&mut TensorRecord, &mut Op<'_>),
) -> Result<(), LoadError> {
    let input = FixedPointTensor::i8(Shape { h: 2, w: 3, c: 4 }, -4);
    let network = FixedPointNetwork { input, layers: vec![layer("layer", inputs, output, op)] };
    reload(&network, |_, tensors, nodes| change(&mut tensors[1], &mut nodes[0].op))
}

/// A legal node, a change that makes it illegal, and what the loader must say.
type Case = (FixedPointOp, &'static [usize], FixedPointTensor, fn(&mut Op<'_>), NodeFault);

#[test]
fn every_operator_is_held_to_its_shapes_and_exponents() {
    let tensor = |h, w, c| FixedPointTensor::i8(Shape { h, w, c }, -4);
    let coarser = |tensor: &mut TensorRecord| tensor.exponent += 1;
    let other = |tensor: &mut TensorRecord| tensor.shape = Shape { h: 1, w: 1, c: 5 };
    let weights = |len: usize| FixedPointWeights {
        bits: WeightBits::Eight,
        codes: vec![1; 2 * len],
        exponents: vec![-4; 2],
        mantissas: Vec::new(),
        bias: vec![0; 2],
    };
    let conv = FixedPointOp::Conv2d { window: Window::new(1, 1), groups: 2, weights: weights(2) };
    let transposed = FixedPointOp::TransposeConv2d { window: Window::new(2, 2), weights: weights(16) };
    let average = FixedPointOp::AveragePool2d { window: Window::new(2, 2) };
    let mul = FixedPointOp::Binary(BinaryKind::Mul);
    let leaky = FixedPointOp::LeakyRelu { slopes: vec![3; 4], slope_bits: 7 };
    let table = FixedPointOp::Table { codes: vec![0; 256] };
    let soft = FixedPointTensor { exponent: -7, ..tensor(2, 3, 4) };
    let slice = FixedPointOp::Slice { start: [1, 0, 0] };
    let pad = FixedPointOp::Pad { before: [1, 0, 0], value: 0 };
    let order = FixedPointOp::Transpose { order: [2, 0, 1] };
    let one: &[usize] = &[0];
    let wide = FixedPointTensor { exponent: -8, zero: -128, ..tensor(2, 3, 4) };
    let cases: [Case; 21] = [
        (
            FixedPointOp::AffineMean { axes: 4 },
            one,
            tensor(2, 3, 1),
            |op| {
                if let Op::AffineMean(op) = op {
                    op.axes = 8
                }
            },
            NodeFault::Axis,
        ),
        (
            FixedPointOp::AffineMean { axes: 1 },
            one,
            tensor(1, 3, 4),
            |op| {
                if let Op::AffineMean(op) = op {
                    op.input_zero = 1
                }
            },
            NodeFault::Scheme,
        ),
        (
            FixedPointOp::AffineMean { axes: 2 },
            one,
            tensor(2, 1, 4),
            |op| {
                if let Op::AffineMean(op) = op {
                    op.output.multiplier = -1
                }
            },
            NodeFault::Shift,
        ),
        (
            FixedPointOp::AffineSoftmax,
            one,
            wide,
            |op| {
                if let Op::AffineSoftmax(op) = op {
                    op.exponentials = &[0; 1024]
                }
            },
            NodeFault::Table,
        ),
        (
            conv,
            one,
            tensor(2, 3, 2),
            |op| {
                if let Op::Conv2d(op) = op {
                    op.groups = 3
                }
            },
            NodeFault::Groups,
        ),
        (
            transposed,
            one,
            tensor(3, 4, 2),
            |op| {
                if let Op::TransposeConv2d(op) = op {
                    op.window.dilation_h = 2
                }
            },
            NodeFault::Window,
        ),
        (
            average.clone(),
            one,
            tensor(1, 2, 4),
            |op| {
                if let Op::AveragePool2d(op) = op {
                    op.multipliers = &op.multipliers[4..]
                }
            },
            NodeFault::BlobLength,
        ),
        (
            average,
            one,
            tensor(1, 2, 4),
            |op| {
                if let Op::AveragePool2d(op) = op {
                    op.window.dilation_w = 2
                }
            },
            NodeFault::Window,
        ),
        (
            mul.clone(),
            &[0, 0],
            tensor(2, 3, 4),
            |op| {
                if let Op::Binary(op) = op {
                    op.a_shift = 1
                }
            },
            NodeFault::Shift,
        ),
        (
            mul,
            &[0, 0],
            tensor(2, 3, 4),
            |op| {
                if let Op::Binary(op) = op {
                    op.right_shift += 1
                }
            },
            NodeFault::Exponent,
        ),
        (
            FixedPointOp::Rescale,
            one,
            tensor(2, 3, 4),
            |op| {
                if let Op::Rescale(op) = op {
                    op.right_shift = 31
                }
            },
            NodeFault::Shift,
        ),
        (
            leaky.clone(),
            one,
            tensor(2, 3, 4),
            |op| {
                if let Op::LeakyRelu(op) = op {
                    op.slopes = &op.slopes[2..]
                }
            },
            NodeFault::BlobLength,
        ),
        (
            leaky,
            one,
            tensor(2, 3, 4),
            |op| {
                if let Op::LeakyRelu(op) = op {
                    op.slope_bits = 16
                }
            },
            NodeFault::Shift,
        ),
        (
            table,
            one,
            tensor(2, 3, 4),
            |op| {
                if let Op::Table(op) = op {
                    op.codes = &op.codes[1..]
                }
            },
            NodeFault::BlobLength,
        ),
        (
            FixedPointOp::Softmax,
            one,
            soft,
            |op| {
                if let Op::Softmax(op) = op {
                    op.exponentials = &[0; 512]
                }
            },
            NodeFault::Table,
        ),
        (
            FixedPointOp::Concat { axis: 1 },
            &[0, 0],
            tensor(2, 6, 4),
            |op| {
                if let Op::Concat(op) = op {
                    op.axis = 3
                }
            },
            NodeFault::Axis,
        ),
        (
            FixedPointOp::Concat { axis: 1 },
            &[0, 0],
            tensor(2, 6, 4),
            |op| {
                if let Op::Concat(op) = op {
                    op.axis = 0
                }
            },
            NodeFault::Shape,
        ),
        (
            slice,
            one,
            tensor(1, 3, 4),
            |op| {
                if let Op::Slice(op) = op {
                    op.start = [2, 0, 0]
                }
            },
            NodeFault::Shape,
        ),
        (
            pad,
            one,
            tensor(3, 3, 4),
            |op| {
                if let Op::Pad(op) = op {
                    op.before = [u16::MAX, 0, 0]
                }
            },
            NodeFault::Shape,
        ),
        (
            order,
            one,
            tensor(4, 2, 3),
            |op| {
                if let Op::Transpose(op) = op {
                    op.order = [2, 2, 1]
                }
            },
            NodeFault::Axis,
        ),
        (
            FixedPointOp::UpsampleBilinear,
            one,
            tensor(4, 6, 4),
            |op| {
                if let Op::UpsampleBilinear(op) = op {
                    op.right_shift = 3
                }
            },
            NodeFault::Exponent,
        ),
    ];
    for (op, inputs, output, change, fault) in cases {
        assert_eq!(load_node(op.clone(), inputs, output, |_, _| {}), Ok(()), "{op:?}");
        assert_eq!(load_node(op.clone(), inputs, output, |_, op| change(op)), node(0, fault), "{op:?}");
        if !matches!(
            op,
            FixedPointOp::Conv2d { .. }
                | FixedPointOp::TransposeConv2d { .. }
                | FixedPointOp::AveragePool2d { .. }
                | FixedPointOp::Table { .. }
                | FixedPointOp::AffineMean { .. }
        ) {
            let outcome = load_node(op.clone(), inputs, output, |tensor, _| coarser(tensor));
            assert_eq!(outcome, node(0, NodeFault::Exponent), "{op:?}");
        }
        let outcome = load_node(op.clone(), inputs, output, |tensor, _| other(tensor));
        assert_eq!(outcome, node(0, NodeFault::Shape), "{op:?}");
    }
}

/// Minima and maxima of the affine scheme compare codes: the loader refuses an operand or an output of another scale.
#[test]
fn an_affine_minimum_or_maximum_reads_and_writes_one_scale() {
    for kind in [BinaryKind::Minimum, BinaryKind::Maximum] {
        let tensor = FixedPointTensor { mantissa: 3, zero: 7, ..FixedPointTensor::i8(Shape { h: 2, w: 3, c: 4 }, -6) };
        let sum = layer("sum", &[0, 0], tensor, FixedPointOp::AffineBinary(AffineBinaryKind::Add));
        let least = layer("least", &[0, 1], tensor, FixedPointOp::Binary(kind));
        let network = FixedPointNetwork { input: tensor, layers: vec![sum, least] };
        let load = |index: usize, change: fn(&mut TensorRecord)| {
            reload(&network, |_, tensors, nodes| {
                change(&mut tensors[index]);
                // The sum agrees with its tensors.
                if let Op::AffineBinary(sum) = &mut nodes[0].op {
                    (sum.a.zero, sum.b.zero, sum.output.zero) = (tensors[0].zero, tensors[0].zero, tensors[1].zero);
                }
            })
        };
        // Operand by operand, and the output.
        for index in 0..3 {
            assert_eq!(load(index, |_| {}), Ok(()));
            for change in [
                |tensor: &mut TensorRecord| tensor.exponent += 1,
                |tensor: &mut TensorRecord| tensor.mantissa += 2,
                |tensor: &mut TensorRecord| tensor.zero += 1,
            ] {
                assert_eq!(load(index, change), node(1, NodeFault::Exponent), "{kind:?}, tensor {index}");
            }
        }
        let shifted = |nodes: &mut [Node<'_>]| {
            if let Op::Binary(least) = &mut nodes[1].op {
                least.right_shift = 1;
            }
        };
        assert_eq!(reload(&network, |_, _, nodes| shifted(nodes)), node(1, NodeFault::Shift));
    }
}

#[test]
fn a_certificate_must_fit_and_tells_the_first_node_that_differs() {
    let network = small_network();
    let patching = Some(Patching { layers: 3, rows: 3, columns: 2 });
    let loads: [Load; 2] = [|bytes| Model::parse(bytes), |bytes| Model::parse_trusted(bytes)];
    for (patching, load) in [None, patching].into_iter().flat_map(|patching| loads.map(|load| (patching, load))) {
        let right = stepshift_tests::reference::evaluate(&network, &[3; 32]);
        let test = |sample: &[Vec<i16>]| {
            let bytes =
                encode_with(&network, Options { patching, sample: Some(sample), ..Options::default() }).unwrap();
            let model = load(&bytes).unwrap();
            let mut arena = vec![0; model.arena_bytes()];
            Session::new(model, &mut arena).unwrap().self_test()
        };
        assert_eq!(test(&right), Ok(()));
        // In the stage, its two ends are nodes too.
        let further = if patching.is_some() { 2 } else { 0 };
        let mut wrong = right.clone();
        wrong[5][0] ^= 1;
        assert_eq!(test(&wrong), Err(SelfTestError::Differs { node: 4 + further }));
        let mut wrong = right.clone();
        *wrong[2].last_mut().unwrap() ^= 1;
        assert_eq!(test(&wrong), Err(SelfTestError::Differs { node: 1 + further / 2 }));
        let bytes = encode_with(&network, Options { patching, ..Options::default() }).unwrap();
        let model = load(&bytes).unwrap();
        let mut arena = vec![0; model.arena_bytes()];
        assert_eq!(Session::new(model, &mut arena).unwrap().self_test(), Err(SelfTestError::NoCertificate));
    }
}

#[test]
fn a_certificate_of_another_length_is_refused() {
    let (input, digests) = ([3; 32], [0; 4 * 7]);
    let good = encode(&small_network()).unwrap();
    let load = |input, digests| reload_file(&good, Some(Certificate { input, digests }), |_, _, _| {});
    assert_eq!(load(&input, &digests), Ok(()));
    assert_eq!(load(&input[1..], &digests), Err(LoadError::Certificate));
    assert_eq!(load(&input, &digests[4..]), Err(LoadError::Certificate));
}

/// Convolution, depthwise convolution and pool of the small network in patches of 2 rows and 3 columns; its sum reads the
/// first and the second.
#[test]
fn a_stage_must_end_and_hold_its_patches() {
    let network = small_network();
    let patching = Some(Patching { layers: 4, rows: 2, columns: 3 });
    let good = encode_with(&network, Options { patching, ..Options::default() }).unwrap();
    let changed = |change: fn(&mut [TensorRecord], &mut [Node<'_>])| {
        reload_file(&good, None, |_, tensors, nodes| change(tensors, nodes))
    };
    fn begin(nodes: &mut [Node<'_>], change: fn(&mut PatchInput)) {
        let Op::PatchInput(op) = &mut nodes[0].op else { panic!() };
        change(op);
    }
    assert_eq!(changed(|_, _| {}), Ok(()));
    let refused = node(0, NodeFault::Stage);
    assert_eq!(changed(|_, n| begin(n, |op| op.rows = 0)), refused);
    assert_eq!(changed(|_, n| begin(n, |op| op.columns = 0)), refused);
    assert_eq!(changed(|_, n| begin(n, |op| op.nodes = 0)), refused);
    assert_eq!(changed(|_, n| begin(n, |op| op.nodes = 5)), refused);
    assert_eq!(changed(|_, n| begin(n, |op| op.nodes = 7)), refused);
    assert_eq!(changed(|_, n| begin(n, |op| op.nodes = u16::MAX)), refused);
    assert_eq!(changed(|_, n| begin(n, |op| op.input = 1)), refused);
    // Larger patches need more than the tensors have room for.
    assert_eq!(changed(|_, n| begin(n, |op| op.rows = 4)), node(2, NodeFault::Stage));
    for tensor in 1..=5 {
        let outcome = reload_file(&good, None, |_, tensors, _| tensors[tensor].shape.h -= 1);
        assert_eq!(outcome, node(tensor as u16 - 1, NodeFault::Stage));
    }
    // Not the whole output, but one that ends with the stage; the input, before it ends.
    assert_eq!(changed(|t, _| t[6].last_use = 5), refused);
    assert_eq!(changed(|t, _| t[0].last_use = 0), refused);
    // What lies between is no more once the stage ends, and is not what the stage writes.
    assert_eq!(changed(|t, _| t[4].last_use = 7), node(3, NodeFault::Stage));
    let overlaps = changed(|t, _| t[6].offset = t[5].offset);
    assert!(matches!(overlaps, Err(LoadError::Tensor { reason: TensorFault::Overlaps(_), .. })), "{overlaps:?}");
    // A node of the stage that reads what is outside.
    let outside = changed(|_, n| {
        let Op::Conv2d(op) = &mut n[1].op else { panic!() };
        op.input = 0;
    });
    assert_eq!(outside, refused);
    // An end without a beginning.
    let alone = changed(|_, n| n[0].op = Op::Slice(Slice { input: 0, start: [0; 3] }));
    assert!(matches!(alone, Err(LoadError::Node { node: 0, .. })), "{alone:?}");
}

#[test]
fn a_small_arena_is_refused_with_both_sizes() {
    let bytes = encode(&small_network()).unwrap();
    let model = Model::parse(&bytes).unwrap();
    let needed = model.arena_bytes();
    let mut arena = vec![0; needed - 1];
    let error = Session::new(model, &mut arena).unwrap_err();
    assert_eq!(error, RunError::ArenaTooSmall { needed, provided: needed - 1 });
    assert_eq!(error.to_string(), format!("the arena has {} bytes, the model needs {needed}", needed - 1));
    assert!(Session::new(model, &mut vec![0; needed + 7]).is_ok());
}

fn layer(name: &str, inputs: &[usize], output: FixedPointTensor, op: FixedPointOp) -> FixedPointLayer {
    let activation = Activation::full(output.element);
    FixedPointLayer { name: name.to_owned(), inputs: inputs.to_vec(), output, activation, op }
}

#[test]
fn a_run_takes_no_more_operations_than_the_file_says() {
    let network = small_network();
    let mut stated = 0;
    assert_eq!(reload(&network, |needs, _, _| stated = needs.operations), Ok(()));
    assert_eq!(reload(&network, |needs, _, _| needs.operations += 1), Ok(()));
    let outcome = reload(&network, |needs, _, _| needs.operations -= 1);
    assert_eq!(outcome, Err(LoadError::Operations { needed: stated, stated: stated - 1 }));
}

#[test]
fn a_window_may_write_over_rows_that_it_has_passed_and_no_others() {
    let tensor = FixedPointTensor::i8(Shape { h: 8, w: 5, c: 1 }, 0);
    let window = Window { pad_top: 1, pad_bottom: 1, ..Window::new(3, 1) };
    let network = FixedPointNetwork {
        input: tensor,
        layers: vec![layer("pool", &[0], tensor, FixedPointOp::MaxPool2d { window })],
    };
    // Row 1 of the output is written when row 0 of the input was passed: two rows of 5 codes below it.
    assert_eq!(
        reload(&network, |needs, t, _| assert_eq!((needs.arena_bytes, t[0].offset, t[1].offset), (50, 10, 0))),
        Ok(())
    );
    assert_eq!(reload(&network, |_, t, _| t[0].offset = 9), tensor_fault(1, TensorFault::Overlaps(0)));
    assert_eq!(reload(&network, |_, t, _| t[1].offset = 1), tensor_fault(1, TensorFault::Overlaps(0)));
}

/// A depthwise layer of one tensor's shape, as a backend has it.
fn depthwise(backend: Backend) -> Vec<u8> {
    depthwise_of(backend, Prefer::Memory, 64)
}

fn depthwise_of(backend: Backend, prefer: Prefer, channels: u16) -> Vec<u8> {
    let tensor = FixedPointTensor::i8(Shape { h: 8, w: 5, c: channels }, -4);
    let weights = FixedPointWeights {
        bits: WeightBits::Eight,
        codes: vec![1; 9 * usize::from(channels)],
        exponents: vec![-5; channels.into()],
        mantissas: Vec::new(),
        bias: vec![3; channels.into()],
    };
    let window = Window { pad_top: 1, pad_bottom: 1, pad_left: 1, pad_right: 1, ..Window::new(3, 3) };
    let layers = vec![layer("depthwise", &[0], tensor, FixedPointOp::DepthwiseConv2d { window, weights })];
    let options = Options { backend, prefer, ..Options::default() };
    encode_with(&FixedPointNetwork { input: tensor, layers }, options).unwrap()
}

#[test]
fn exponentials_are_a_table_or_a_scale() {
    let output = FixedPointTensor { zero: -128, ..FixedPointTensor::i8(Shape { h: 2, w: 3, c: 4 }, -8) };
    let load = |exponentials: &'static [u8]| {
        load_node(FixedPointOp::AffineSoftmax, &[0], output, |_, op| {
            let Op::AffineSoftmax(op) = op else { panic!() };
            op.exponentials = exponentials;
        })
    };
    assert_eq!(load(&[0, 0, 0, 0x40, 1, 0, 0, 0]), Ok(()));
    // Shifts of 32, 0 and 257, a multiplier below 2^30, and neither of both lengths.
    assert_eq!(load(&[0, 0, 0, 0x40, 32, 0, 0, 0]), node(0, NodeFault::Shift));
    assert_eq!(load(&[0, 0, 0, 0x40, 0, 0, 0, 0]), node(0, NodeFault::Shift));
    assert_eq!(load(&[0, 0, 0, 0x40, 1, 1, 0, 0]), node(0, NodeFault::Shift));
    assert_eq!(load(&[0, 0, 0, 0x3f, 1, 0, 0, 0]), node(0, NodeFault::Shift));
    assert_eq!(load(&[0; 12]), node(0, NodeFault::BlobLength));
}

/// The output for an input without a pattern, by the portable kernels.
fn run(file: &[u8]) -> Vec<i16> {
    let model = Model::parse(file).unwrap();
    let mut arena = vec![0; model.arena_bytes()];
    let mut session = Session::new(model, &mut arena).unwrap();
    session.restrict_to(InstructionSet::Portable);
    let len = model.input().shape.len() as i16;
    session.input_mut().copy_from((0..len).map(|index| index * 37 % 256 - 128));
    session.run();
    session.output().iter().collect()
}

#[test]
fn bits_behind_the_last_weight_count_for_nothing() {
    let input = FixedPointTensor { zero: -7, mantissa: 3, ..FixedPointTensor::i8(Shape { h: 4, w: 5, c: 1 }, -6) };
    let window = Window { pad_top: 1, pad_bottom: 1, pad_left: 1, pad_right: 1, ..Window::new(3, 3) };
    let weights = FixedPointWeights {
        bits: WeightBits::Four,
        codes: vec![1, -2, 3, -4, 5, -6, 7, -7, 6],
        exponents: vec![-4],
        mantissas: vec![3],
        bias: vec![11],
    };
    let convolution = FixedPointOp::Conv2d { window, groups: 1, weights: weights.clone() };
    let transposed = FixedPointOp::TransposeConv2d { window, weights: weights.clone() };
    for op in [FixedPointOp::DepthwiseConv2d { window, weights }, convolution, transposed] {
        let network = FixedPointNetwork { input, layers: vec![layer("layer", &[0], input, op)] };
        let good = encode(&network).unwrap();
        let node = Model::parse(&good).unwrap().nodes().next().unwrap();
        let mut spare = node.op.weights().unwrap().codes.to_vec();
        *spare.last_mut().unwrap() |= 0x50;
        let spare: &'static [u8] = spare.leak();
        let file = changed(&good, None, |_, _, nodes| match &mut nodes[0].op {
            Op::Conv2d(op) => op.weights.codes = spare,
            Op::DepthwiseConv2d(op) => op.weights.codes = spare,
            Op::TransposeConv2d(op) => op.weights.codes = spare,
            _ => panic!(),
        });
        assert_ne!(file, good);
        assert_eq!(run(&file), run(&good), "{:?}", network.layers[0].op);
    }
}

/// The same after a change of the layer, whose output lies in its input's place.
fn load_in_place(backend: Backend, change: impl FnOnce(&mut DepthwiseConv2d<'_>)) -> Result<(), LoadError> {
    reload_file(&depthwise(backend), None, |_, tensors, nodes| {
        assert_eq!(tensors[0].region(), tensors[1].region());
        let Op::DepthwiseConv2d(op) = &mut nodes[0].op else { panic!() };
        change(op);
    })
}

#[test]
fn a_depthwise_layer_may_write_over_its_input_by_strips_alone() {
    let overlaps = tensor_fault(1, TensorFault::Overlaps(0));
    let wide = |op: &mut DepthwiseConv2d<'_>| {
        op.window =
            Window { kernel_h: 9, kernel_w: 1, pad_top: 4, pad_bottom: 4, pad_left: 0, pad_right: 0, ..op.window }
    };
    // What the loop over strips has not runs pixel by pixel.
    let load = |change: fn(&mut DepthwiseConv2d<'_>)| load_in_place(Backend::Dsp, change);
    assert_eq!(load(|_| {}), Ok(()));
    assert_eq!(load(|op| op.weights.scratch.bytes -= 1), overlaps);
    assert_eq!(load(|op| op.activation.max = 100), overlaps);
    assert_eq!(load(|op| op.weights.epilogue = Epilogue::Shift(&[0xff])), overlaps);
    assert_eq!(load_in_place(Backend::Dsp, wide), overlaps);
    // Nor does a layer that computes channels twice.
    let uneven = |_: &mut Needs, tensors: &mut Vec<TensorRecord>, _: &mut [Node<'_>]| {
        tensors[1].offset = tensors[0].offset;
    };
    assert_eq!(reload_file(&depthwise_of(Backend::Dsp, Prefer::Speed, 6), None, uneven), overlaps);
    assert_eq!(reload_file(&depthwise_of(Backend::Dsp, Prefer::Speed, 8), None, uneven), Ok(()));
    // The loops over lanes of the Cortex-M55 do not either, with scratch enough for them.
    let load = |change: fn(&mut DepthwiseConv2d<'_>)| load_in_place(Backend::Mve, change);
    assert_eq!(load(|_| {}), Ok(()));
    assert_eq!(load(|op| op.weights.scratch.bytes -= 1), overlaps);
    assert_eq!(load(|op| op.weights.scratch.bytes = 64), node(0, NodeFault::Scratch));
    assert_eq!(load_in_place(Backend::Mve, |op| op.activation.max = 100), Ok(()));
    // Not beside its input's place.
    for backend in [Backend::Dsp, Backend::Mve] {
        let moved = |needs: &mut Needs, tensors: &mut Vec<TensorRecord>, _: &mut [Node<'_>]| {
            tensors[1].offset += 1;
            needs.arena_bytes += 1;
        };
        assert_ne!(reload_file(&depthwise(backend), None, moved), Ok(()));
    }
}

#[test]
fn rows_that_were_passed_are_written_over_by_lanes_alone() {
    // As much scratch as strips need is less than lanes need for 256 channels.
    let tensor = FixedPointTensor::i8(Shape { h: 8, w: 3, c: 256 }, -4);
    let weights = FixedPointWeights {
        bits: WeightBits::Eight,
        codes: vec![1; 9 * 256],
        exponents: vec![-5; 256],
        mantissas: Vec::new(),
        bias: vec![3; 256],
    };
    let window = Window { pad_top: 1, pad_bottom: 1, pad_left: 1, pad_right: 1, ..Window::new(3, 3) };
    let layers = vec![layer("depthwise", &[0], tensor, FixedPointOp::DepthwiseConv2d { window, weights })];
    let network = FixedPointNetwork { input: tensor, layers };
    let good = encode_with(&network, Options { backend: Backend::Mve, ..Options::default() }).unwrap();
    let distance = 2 * 3 * 256;
    let slide = |scratch: Option<u32>| {
        reload_file(&good, None, |needs, tensors, nodes| {
            let Op::DepthwiseConv2d(op) = &mut nodes[0].op else { panic!() };
            (tensors[1].offset, tensors[0].offset) = (0, distance);
            op.weights.scratch.offset = distance + 8 * 3 * 256;
            op.weights.scratch.bytes = scratch.unwrap_or(op.weights.scratch.bytes);
            needs.arena_bytes = op.weights.scratch.region().end as u32;
        })
    };
    assert_eq!(slide(None), node(0, NodeFault::Scratch));
    assert_eq!(slide(Some(9 * 256 + 4 * 10 + 3)), Ok(()));
}

#[test]
fn nothing_lies_in_a_states_place_but_what_is_stored() {
    let tensor = FixedPointTensor::i8(Shape { h: 1, w: 1, c: 4 }, 0);
    let layers = vec![
        layer("state", &[], tensor, FixedPointOp::State),
        layer("sum", &[0, 1], tensor, FixedPointOp::Binary(BinaryKind::Add)),
        layer("store", &[2, 1], tensor, FixedPointOp::Store),
        layer("clip", &[2], tensor, FixedPointOp::Clip),
        layer("rescale", &[4], tensor, FixedPointOp::Rescale),
    ];
    let network = FixedPointNetwork { input: tensor, layers };
    assert_eq!(reload(&network, |_, _, _| {}), Ok(()));
    // The last output is written when the state was stored already, and would be what the next run finds.
    assert_eq!(reload(&network, |_, t, _| t[5].offset = t[1].offset), tensor_fault(5, TensorFault::Overlaps(1)));
    let store = |state: u16| {
        reload(&network, move |_, _, nodes| {
            let Op::Store(op) = &mut nodes[2].op else { panic!() };
            op.state = state;
        })
    };
    assert_eq!(store(2), node(2, NodeFault::State));
    assert_eq!(store(9), node(2, NodeFault::Input));
    let elsewhere = reload(&network, |needs, t, _| {
        needs.arena_bytes += 1;
        t[3].offset += 1;
    });
    assert_eq!(elsewhere, node(2, NodeFault::State));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 3000, ..ProptestConfig::default() })]

    /// Bodies changed anywhere, under a checksum that fits: refused, or run to the end.
    #[test]
    fn damaged_models_with_a_good_checksum_never_panic(
        network in random::networks(),
        seed in any::<u64>(),
        changes in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
    ) {
        let mut bytes = encode(&random::fixed_point(&network, seed)).unwrap();
        for (place, value) in changes {
            let place = HEADER_BYTES + place.index(bytes.len() - HEADER_BYTES);
            bytes[place] = value;
        }
        let crc = stepshift_runtime::crc32(&bytes[HEADER_BYTES..]);
        bytes[6..10].copy_from_slice(&crc.to_le_bytes());
        if let Ok(model) = Model::parse(&bytes) && model.arena_bytes() < 1 << 20 {
            let mut arena = vec![0x80; model.arena_bytes()];
            let mut session = Session::new(model, &mut arena).unwrap();
            session.input_mut().fill(i16::MIN);
            session.run();
        }
    }
}
