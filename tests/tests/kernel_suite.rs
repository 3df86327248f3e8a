//! Every backend's kernels on the one suite of layers, on the host: those of other cores by the twins of their instructions,
//! the host's own by every instruction set that the processor has.

use stepshift_runtime::format::{Activation, Element, Op, Packing, Shape, WeightBits, Window};
use stepshift_runtime::{Backend, InstructionSet, Model, Session, kernels};
use stepshift_tests::{random, reference, suite};
use stepshift_trainer::export::{
    FixedPointLayer, FixedPointNetwork, FixedPointOp, FixedPointTensor, FixedPointWeights, Options, Prefer, encode_with,
};

/// What a model is packed for, and the widest instructions of the host's kernels.
type Way = (Backend, Prefer, InstructionSet);

fn ways() -> impl Iterator<Item = Way> {
    let packed = Backend::ALL.into_iter().flat_map(|backend| [(backend, Prefer::Memory), (backend, Prefer::Speed)]);
    let packed = packed.map(|(backend, prefer)| (backend, prefer, InstructionSet::Portable));
    let sets = InstructionSet::ALL.into_iter().filter(|set| *set <= InstructionSet::detected());
    packed.chain(sets.map(|set| (Backend::Portable, Prefer::Memory, set)))
}

/// The codes of the last layer, of a model that is packed for a backend.
fn output(network: &FixedPointNetwork, (backend, prefer, set): Way, input: &[i16]) -> Vec<i16> {
    let bytes = encode_with(network, Options { backend, prefer, ..Options::default() }).unwrap();
    let model = Model::parse(&bytes).unwrap();
    let mut arena = vec![0x5a; model.arena_bytes()];
    let mut session = Session::new(model, &mut arena).unwrap();
    session.restrict_to(set);
    session.input_mut().copy_from(input.iter().copied());
    session.run();
    session.output().iter().collect()
}

#[test]
fn every_length_gives_the_codes_of_the_reference() {
    let networks = suite::networks();
    assert!(networks.len() > 500, "{}", networks.len());
    let mut saturated = 0;
    for (number, network) in networks.iter().enumerate() {
        for seed in 0..3 {
            let input = random::input_codes(network.input, seed);
            let expected = reference::evaluate(network, &input).pop().unwrap();
            let ends = network.layers.last().unwrap().activation;
            saturated += expected.iter().filter(|code| [ends.min, ends.max].contains(code)).count();
            for way in ways() {
                assert_eq!(output(network, way, &input), expected, "network {number}, {way:?}: {network:?}");
            }
        }
    }
    assert!(saturated > 1000, "{saturated}");
}

#[test]
fn depthwise_layers_write_over_their_inputs() {
    let ways = [Backend::Dsp, Backend::Mve].map(|backend| [(backend, Prefer::Memory), (backend, Prefer::Speed)]);
    let found = ways.as_flattened().iter().map(|(backend, prefer)| {
        let networks = suite::networks();
        let in_place = |network: &&FixedPointNetwork| {
            let options = Options { backend: *backend, prefer: *prefer, ..Options::default() };
            let bytes = encode_with(network, options).unwrap();
            let model = Model::parse(&bytes).unwrap();
            let regions = [0, 1].map(|tensor| model.tensor(tensor).unwrap().region());
            matches!(model.nodes().next().unwrap().op, Op::DepthwiseConv2d(_)) && regions[0] == regions[1]
        };
        networks.iter().filter(in_place).count()
    });
    let found: Vec<usize> = found.collect();
    assert!(found.iter().all(|count| *count > 10), "{found:?}");
}

#[test]
fn strided_depthwise_layers_of_helium_run_by_strips_where_those_take_less() {
    // 256 channels have more scratch by lanes than strips need.
    let layers = [(16, 2, true), (96, 2, false), (256, 2, false), (256, 1, true)];
    for ((channels, stride, by_strips), affine) in layers.into_iter().flat_map(|layer| [(layer, false), (layer, true)])
    {
        let tensor = |len| FixedPointTensor::i8(Shape { h: len, w: len, c: channels }, -4);
        let weights = FixedPointWeights {
            bits: WeightBits::Eight,
            codes: (0..9 * i32::from(channels)).map(|index| (index * 37 % 255 - 127) as i16).collect(),
            exponents: vec![if affine { -32 } else { -10 }; channels.into()],
            mantissas: if affine { vec![3 << 20; channels.into()] } else { Vec::new() },
            bias: vec![3; channels.into()],
        };
        let sides = Window { pad_top: 1, pad_bottom: 1, pad_left: 1, pad_right: 1, ..Window::new(3, 3) };
        let window = Window { stride_h: stride, stride_w: stride, ..sides };
        let layer = FixedPointLayer {
            name: "depthwise".to_owned(),
            inputs: vec![0],
            output: tensor(if stride == 2 { 4 } else { 7 }),
            activation: Activation::full(Element::I8),
            op: FixedPointOp::DepthwiseConv2d { window, weights },
        };
        let network = FixedPointNetwork { input: tensor(7), layers: vec![layer] };
        for prefer in [Prefer::Memory, Prefer::Speed] {
            let way = (Backend::Mve, prefer, InstructionSet::Portable);
            let input = random::input_codes(network.input, 1);
            assert_eq!(output(&network, way, &input), reference::evaluate(&network, &input).pop().unwrap());
        }
        let options = Options { backend: Backend::Mve, prefer: Prefer::Speed, ..Options::default() };
        let bytes = encode_with(&network, options).unwrap();
        let model = Model::parse(&bytes).unwrap();
        let Op::DepthwiseConv2d(op) = model.nodes().next().unwrap().op else { panic!() };
        let found = kernels::mve::runs_by_strips(&op, &model.tensor(1).unwrap());
        assert_eq!(found, by_strips, "{channels} channels, stride {stride}, affine {affine}");
    }
}

#[test]
fn narrow_weights_have_the_kernels_of_those_of_8_bits() {
    let is_plain = |network: &FixedPointNetwork, backend: Backend| {
        let options = Options { backend, prefer: Prefer::Speed, ..Options::default() };
        let bytes = encode_with(network, options).unwrap();
        let node = Model::parse(&bytes).unwrap().nodes().next().unwrap();
        node.op.weights().is_none_or(|weights| weights.packing == Packing::Plain)
    };
    let mut narrow = 0;
    for network in suite::networks() {
        let Some(weights) = network.layers[0].op.weights().filter(|weights| weights.bits.bits() < 8) else {
            continue;
        };
        let mut wide = network.clone();
        *wide.layers[0].op.weights_mut().unwrap() = FixedPointWeights { bits: WeightBits::Eight, ..weights.clone() };
        for backend in Backend::ALL {
            assert_eq!(is_plain(&network, backend), is_plain(&wide, backend), "{backend:?}: {network:?}");
            narrow += usize::from(!is_plain(&network, backend));
        }
    }
    assert!(narrow > 100, "{narrow}");
}

#[test]
fn the_suite_has_layers_of_every_order() {
    let mut found = [0; Packing::ALL.len()];
    let (mut joined, mut columns) = (0, [0; 2]);
    let ways = Backend::ALL.into_iter().flat_map(|backend| [(backend, Prefer::Memory), (backend, Prefer::Speed)]);
    for (network, (backend, prefer)) in
        suite::networks().iter().flat_map(|network| ways.clone().map(move |way| (network, way)))
    {
        let bytes = encode_with(network, Options { backend, prefer, ..Options::default() }).unwrap();
        for node in Model::parse(&bytes).unwrap().nodes() {
            if let Some(weights) = node.op.weights() {
                found[weights.packing as usize] += 1;
                let is_tiled = weights.packing == Packing::Joined && matches!(node.op, Op::Conv2d(_));
                joined += usize::from(is_tiled && weights.bits == WeightBits::Eight);
                // Bytes that meet bytes, with a column and without.
                let is_byte = weights.bits == WeightBits::Eight && network.input.element != Element::I16;
                if weights.packing == Packing::Joined && matches!(node.op, Op::FullyConnected(_)) && is_byte {
                    columns[usize::from(weights.scratch.bytes == 0)] += 1;
                }
            }
        }
    }
    assert!(found.iter().all(|count| *count > 30) && joined > 100, "{found:?}, {joined}");
    assert!(columns.iter().all(|count| *count > 20), "{columns:?}");
}
