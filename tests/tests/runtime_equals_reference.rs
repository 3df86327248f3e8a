//! The runtime on the host against the independent reference: every code of every layer.

use std::collections::BTreeMap;

use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;
use stepshift_runtime::arithmetic::Requantizer;
use stepshift_runtime::format::{
    Channel, Element, HEADER_BYTES, NEEDS_BYTES, Node, OPERATOR_COUNT, TENSOR_RECORD_BYTES, WeightBits,
};
use stepshift_runtime::{Backend, DecodedBuffers, InstructionSet, Model, Session};
use stepshift_tests::{random, reference};
use stepshift_trainer::export::patches::Patching;
use stepshift_trainer::export::steps::steps;
use stepshift_trainer::export::{FixedPointNetwork, Options, Prefer, encode, encode_with};

/// Nodes of a random network at most.
const MOST_NODES: usize = 64;

/// Runs a model on one input after another and returns the first layer and index that differ from the reference, if any.
fn first_difference(network: &FixedPointNetwork, patching: Option<Patching>, inputs: &[Vec<i16>]) -> Option<String> {
    let expected = reference::evaluate_sequence(network, inputs);
    // By turns, so that all are reached by every operator.
    let len = inputs.concat().len();
    let prefer = [Prefer::Memory, Prefer::Speed, Prefer::SpeedWithin(4 * len)][len % 3];
    let options = |backend| Options { backend, prefer, patching, sample: None };
    let plain = InstructionSet::ALL.into_iter().filter(|set| *set <= InstructionSet::detected());
    let plain = plain.map(|set| (Backend::Portable, set));
    let packed = Backend::ALL.into_iter().filter(|backend| *backend != Backend::Portable);
    let packed = packed.map(|backend| (backend, InstructionSet::Portable));
    let mut all = plain.chain(packed);
    all.find_map(|(backend, set)| differs(network, options(backend), set, inputs, &expected))
}

/// The same for weights packed for one backend, with the host's kernels up to one instruction set.
fn differs(
    network: &FixedPointNetwork,
    options: Options<'_>,
    set: InstructionSet,
    inputs: &[Vec<i16>],
    expected: &[Vec<Vec<i16>>],
) -> Option<String> {
    let bytes = encode_with(network, options).unwrap_or_else(|error| panic!("{error}"));
    let model = Model::parse(&bytes).unwrap();
    assert_eq!(known(&Model::parse_trusted(&bytes).unwrap()), known(&model));
    // By turns, too.
    let mut buffers = DecodedBuffers::<MOST_NODES, { MOST_NODES + 1 }>::new();
    let is_decoded = model.crc().is_multiple_of(2);
    let model = if is_decoded { model.decoded(&mut buffers).unwrap() } else { model };
    let steps = steps(model, |tensor| network.tensor(tensor).shape);
    let mut arena = vec![0x5a; model.arena_bytes()];
    let mut session = Session::new(model, &mut arena).unwrap();
    session.restrict_to(set);
    let mut found = None;
    for (run, (input, expected)) in inputs.iter().zip(expected).enumerate() {
        session.input_mut().copy_from(input.iter().copied());
        let mut count = 0;
        session.run_observed(|output| {
            count += 1;
            let expected: Vec<i16> = steps[output.step].codes(expected).collect();
            assert_eq!(output.codes.len(), expected.len());
            let difference = output.codes.iter().zip(&expected).position(|(a, b)| a != *b);
            if let (Some(index), None) = (difference, &found) {
                let (got, expected) = (output.codes.get(index).unwrap(), expected[index]);
                let (name, step) = (output.name, output.step);
                let (backend, set) = (options.backend.name(), set.name());
                found = Some(format!(
                    "{backend}, {set}: run {run}, step {step}, layer {name}, index {index}: code {got} instead of {expected}"
                ));
            }
        });
        assert_eq!(count, model.step_count());
    }
    found
}

/// What a model tells before it runs, but for its bytes.
fn known(model: &Model<'_>) -> (u32, [usize; 4], u64, u64) {
    let counts = [model.arena_bytes(), model.tensor_count(), model.node_count(), model.step_count()];
    (model.crc(), counts, model.links(), model.operations())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 4000, ..ProptestConfig::default() })]

    #[test]
    fn random_networks_are_equal_in_every_code(network in random::networks(), seed in any::<u64>()) {
        let fixed = random::inference_only(&network, seed);
        let input = random::input_codes(fixed.input, seed);
        prop_assert_eq!(first_difference(&fixed, None, &[input]), None);
    }
}

proptest! {
    // Half of the random networks have no patches.
    #![proptest_config(ProptestConfig { cases: 1000, max_global_rejects: 10_000, ..ProptestConfig::default() })]

    #[test]
    fn random_affine_networks_are_equal_in_every_code(network in random::networks(), seed in any::<u64>()) {
        let fixed = random::affine_inference_only(&network, seed);
        prop_assume!(fixed.is_some());
        let fixed = fixed.unwrap();
        let input = random::input_codes(fixed.input, seed);
        prop_assert_eq!(first_difference(&fixed, None, &[input]), None);
    }

    #[test]
    fn patches_give_the_codes_of_whole_layers(network in random::networks(), seed in any::<u64>()) {
        let fixed = random::every_kind(&network, seed);
        let patching = random::patching(&fixed, seed);
        prop_assume!(patching.is_some());
        let inputs: Vec<_> = (0..2).map(|run| random::input_codes(fixed.input, seed ^ run)).collect();
        prop_assert_eq!(first_difference(&fixed, patching, &inputs), None);
    }

    #[test]
    fn states_and_streams_are_kept_from_run_to_run(network in random::networks(), seed in any::<u64>()) {
        let fixed = random::with_memory(&network, seed);
        let inputs: Vec<_> = (0..4).map(|run| random::input_codes(fixed.input, seed ^ run)).collect();
        prop_assert_eq!(first_difference(&fixed, None, &inputs), None);
    }
}

/// Variants of [`Op`](stepshift_runtime::format::Op).
const OPERATORS: usize = OPERATOR_COUNT as usize;

/// A generator that never made ties, saturation or left shifts would prove nothing.
#[test]
fn random_networks_reach_every_operator_and_extreme() {
    let mut runner = TestRunner::deterministic();
    let (mut elements, mut widths) = (BTreeMap::new(), BTreeMap::new());
    let (mut operators, mut saturated, mut left_shifts) = (BTreeMap::new(), 0, 0);
    let (mut in_place, mut sliding) = (0, 0);
    for seed in 0..1000 {
        let network = random::networks().new_tree(&mut runner).unwrap().current();
        let fixed = random::every_kind(&network, seed);
        let tensors = reference::evaluate(&fixed, &random::input_codes(fixed.input, seed));
        for (layer, codes) in fixed.layers.iter().zip(&tensors[1..]) {
            let element = layer.output.element;
            saturated += codes.iter().filter(|code| [element.min(), element.max()].contains(code)).count();
            *elements.entry(format!("{element:?}")).or_insert(0) += 1;
        }
        let patched = random::encoded(&fixed, seed).unwrap();
        for node in Model::parse(&patched).unwrap().nodes() {
            *operators.entry(format!("{:?}", node.op.kind())).or_insert(0) += 1;
        }
        let bytes = encode(&fixed).unwrap();
        let model = Model::parse(&bytes).unwrap();
        for (index, node) in model.nodes().enumerate() {
            if let Some(weights) = node.op.weights() {
                *widths.entry(format!("{:?}", weights.bits)).or_insert(0) += 1;
                let left = |channel: &Channel| matches!(channel.requantizer, Requantizer::Shift(..0));
                left_shifts += weights.channels().filter(left).count();
            }
            let place = |tensor: usize| model.tensor(tensor).unwrap().region();
            let first = fixed.layers[index].inputs.first();
            in_place += usize::from(first.is_some_and(|input| place(*input) == place(index + 1)));
            let over_rows = |input: usize| {
                let (source, target) = (place(input), place(index + 1));
                source != target && source.start < target.end && target.start < source.end
            };
            sliding += usize::from(first.is_some_and(|input| over_rows(*input)));
        }
    }
    assert_eq!(operators.len(), OPERATORS, "{operators:?}");
    assert!(operators.values().all(|count| *count > 20), "{operators:?}");
    assert_eq!((elements.len(), widths.len()), (Element::ALL.len(), WeightBits::ALL.len()), "{elements:?} {widths:?}");
    assert!(saturated > 1000 && left_shifts > 100 && in_place > 20, "{saturated} {left_shifts} {in_place}");
    assert!(sliding > 20, "{sliding}");
}

/// Node by node, and under a clock, a run gives the bits of a run in one go; two models may take turns in one arena.
#[test]
fn steps_give_the_bits_of_a_run() {
    let mut runner = TestRunner::deterministic();
    let networks: Vec<_> = (0..20).map(|_| random::networks().new_tree(&mut runner).unwrap().current()).collect();
    let networks: Vec<_> = (0..).zip(&networks).map(|(i, n)| random::inference_only(n, i)).collect();
    let files: Vec<_> = (0..).zip(&networks).map(|(i, n)| random::encoded(n, i).unwrap()).collect();
    let models: Vec<_> = files.iter().map(|bytes| Model::parse(bytes).unwrap()).collect();
    let mut arena = vec![0; models.iter().map(Model::arena_bytes).max().unwrap()];
    for (model, fixed) in models.into_iter().zip(&networks) {
        let input = vec![7_u8; model.input().bytes()];
        let mut session = Session::new(model, &mut arena).unwrap();
        session.input_mut().into_bytes().copy_from_slice(&input);
        session.run();
        let expected = session.output().bytes().to_vec();
        for _ in 0..2 {
            session.input_mut().into_bytes().copy_from_slice(&input);
            let mut count = 0;
            while let Some(output) = session.step() {
                assert_eq!(output.step, count);
                count += 1;
            }
            assert_eq!((count, session.output().bytes()), (model.step_count(), &expected[..]));
        }
        // A clock that goes on by 3 whenever it is read, from just before it wraps.
        let mut now = u32::MAX - 4;
        let mut times = Vec::new();
        session.input_mut().into_bytes().copy_from_slice(&input);
        let clock = || {
            now = now.wrapping_add(3);
            now
        };
        session.run_profiled(clock, |index, time| times.push((index, time)));
        let indices = steps(model, |tensor| fixed.tensor(tensor).shape);
        assert_eq!(times, indices.iter().map(|step| (step.node, 3)).collect::<Vec<_>>());
        assert_eq!(session.output().bytes(), &expected[..]);
    }
}

/// The runtime reads nodes by itself; postcard reads the same.
#[test]
fn nodes_are_what_postcard_decodes() {
    let mut runner = TestRunner::deterministic();
    for seed in 0..400 {
        let network = random::networks().new_tree(&mut runner).unwrap().current();
        let fixed = random::every_kind(&network, seed);
        let bytes = random::encoded(&fixed, seed).unwrap();
        let behind = |count: usize| bytes.get(count..).unwrap();
        // Header, needs, tensors with their number, and the number of nodes, below 128.
        let count = Model::parse(&bytes).unwrap().node_count();
        let mut rest = behind(HEADER_BYTES + NEEDS_BYTES + 1 + (count + 1) * TENSOR_RECORD_BYTES + 1);
        for node in Model::parse(&bytes).unwrap().nodes() {
            let (decoded, behind): (Node<'_>, _) = postcard::take_from_bytes(rest).unwrap();
            assert_eq!(decoded, node);
            rest = behind;
        }
        assert_eq!(rest, [0]);
    }
}
