//! Heads that the exporter puts behind a network: what it expects of them, the runtime and the independent reference.

use stepshift_runtime::format::{Activation, Element};
use stepshift_runtime::kernels::portable::affine_exponential;
use stepshift_runtime::{Model, Session};
use stepshift_tests::{fixtures, random, reference};
use stepshift_trainer::export::heads::Head;
use stepshift_trainer::export::{
    ExportError, FixedPointLayer, FixedPointNetwork, FixedPointOp, FixedPointTensor, Options, Prefer, encode_with,
    scale_parts, softmax_scale,
};

fn check(network: &FixedPointNetwork, head: Head, input: &[i16]) {
    let with_head = head.append(network).unwrap();
    let expected = reference::evaluate(&with_head, input);
    for prefer in [Prefer::Memory, Prefer::Speed] {
        let bytes = encode_with(&with_head, Options { prefer, ..Options::default() }).unwrap();
        check_file(&bytes, head, input, &expected);
    }
}

/// Runs a file that ends in a head.
///
/// expected  codes of every tensor, the head's last
fn check_file(bytes: &[u8], head: Head, input: &[i16], expected: &[Vec<i16>]) {
    let model = Model::parse(bytes).unwrap();
    assert_eq!(Head::of(model), Some(head));
    let mut arena = vec![0; model.arena_bytes()];
    let mut session = Session::new(model, &mut arena).unwrap();
    session.input_mut().copy_from(input.iter().copied());
    session.run();
    let last = expected.len() - 2;
    let exported = head.codes(&model.tensor(last).unwrap(), &expected[last]);
    assert_eq!(exported, *expected.last().unwrap());
    assert_eq!(session.output().iter().collect::<Vec<_>>(), exported);
}

#[test]
fn a_head_gives_what_the_exporter_expects() {
    for exponent in [-6, -4, -2] {
        let mut network = fixtures::small_network();
        network.layers[6].output.exponent = exponent;
        for seed in 0..50 {
            let input = random::input_codes(network.input, seed);
            check(&network, Head::Softmax, &input);
            check(&network, Head::Argmax, &input);
        }
    }
}

#[test]
fn a_softmax_behind_an_affine_network_is_tensorflow_lites() {
    for scale in [0.003_f32, 0.05, 0.7] {
        let mut network = fixtures::small_network();
        let table = FixedPointOp::Table { codes: (-128..=127).collect() };
        let (mantissa, exponent) = scale_parts(scale).unwrap();
        let output = FixedPointTensor { mantissa, exponent, zero: -7, ..network.layers[6].output };
        let activation = Activation::full(Element::I8);
        network.layers.push(FixedPointLayer { name: "affine".into(), inputs: vec![7], output, activation, op: table });
        for seed in 0..50 {
            let input = random::input_codes(network.input, seed);
            check(&network, Head::Softmax, &input);
        }
    }
}

#[test]
fn computed_exponentials_are_those_of_the_spec() {
    // From the least to the first that is clipped, on and between powers of two.
    let between = (0..2_000).map(|step| 2_f64.powf(f64::from(step) * 0.015_57 - 25.99));
    let powers = (-25..=6).map(|exponent| 2_f64.powi(exponent));
    for scale in between.chain(powers).chain([2_f64.powi(-26) * 1.000_001, 31.999_999]) {
        let (multiplier, left_shift) = softmax_scale(scale).unwrap();
        for distance in 0..=u8::MAX {
            let found = affine_exponential(multiplier, left_shift, distance);
            assert_eq!(i128::from(found), reference::affine_exponential(scale, distance.into()), "{scale} {distance}");
        }
    }
}

#[test]
fn a_head_that_cannot_follow_is_refused_by_name() {
    let mut network = fixtures::small_network();
    network.layers[6].output.element = Element::I16;
    let error = Head::Softmax.append(&network).unwrap_err();
    assert_eq!(error.to_string(), "layer softmax: it takes 8 bits, the layer before it has 16");
    network.layers[6].name = "argmax".to_owned();
    assert!(matches!(Head::Argmax.append(&network), Err(ExportError::Inconsistent { .. })));
}
