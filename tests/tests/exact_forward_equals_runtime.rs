//! The trainer's exact forward against the runtime: every code of every layer of random networks.

use ndarray::Array4;
use proptest::prelude::*;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use stepshift_runtime::{Model, Session};
use stepshift_tests::random;
use stepshift_trainer::export::{FixedPointNetwork, FixedPointWeights, encode};
use stepshift_trainer::network::{LayerOp, Network};
use stepshift_trainer::torch::quantized_network::{ConstantParts, LayerParts, QuantizedNetwork};

/// Float weights and biases that round to a network's codes: on the codes, at ties, and near ties.
fn parts(network: &Network, fixed: &FixedPointNetwork, seed: u64) -> Vec<LayerParts> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed ^ 0xf10a7);
    let layers = network.layers.iter().zip(&fixed.layers);
    layers
        .map(|(layer, fixed_layer)| LayerParts {
            exponent: fixed_layer.output.exponent,
            constants: fixed_layer.op.weights().map(|weights| {
                let input = fixed.tensor(fixed_layer.inputs[0]);
                constants(&layer.op, weights, input.exponent, &mut rng)
            }),
        })
        .collect()
}

fn constants(op: &LayerOp, weights: &FixedPointWeights, input_exponent: i8, rng: &mut ChaCha8Rng) -> ConstantParts {
    let out_ch = weights.bias.len();
    let filter_len = weights.codes.len() / out_ch;
    let mut weight = Vec::new();
    for oc in 0..out_ch {
        for i in 0..filter_len {
            let code = weights.codes[code_index(op, filter_len, out_ch, oc, i)];
            let step = 2_f32.powi(weights.exponents[oc].into());
            weight.push((f32::from(code) + offset(rng)) * step);
        }
    }
    let bias = weights.bias.iter().zip(&weights.exponents).map(|(bias, exponent)| {
        // Half a unit more can be told in f32 below 2^23.
        let offset = if bias.abs() < 1 << 20 { offset(rng) } else { 0.0 };
        (*bias as f32 + offset) * 2_f32.powi(i32::from(*exponent) + i32::from(input_exponent))
    });
    ConstantParts { bias: bias.collect(), weight, exponents: weights.exponents.clone() }
}

/// A tie rounds up: half a unit below a code is that code.
fn offset(rng: &mut ChaCha8Rng) -> f32 {
    [0.0, -0.5, 0.25, -0.375, 0.4375][rng.random_range(0..5)]
}

/// Where the model keeps the trainer's weight `i` of an output channel.
fn code_index(op: &LayerOp, filter_len: usize, out_ch: usize, oc: usize, i: usize) -> usize {
    match op {
        LayerOp::DepthwiseConv2d { .. } => i * out_ch + oc,
        LayerOp::Conv2d { window, .. } | LayerOp::TransposeConv2d { window, .. } => {
            let (ic, tap) = (i / window.taps(), i % window.taps());
            oc * filter_len + tap * (filter_len / window.taps()) + ic
        }
        _ => oc * filter_len + i,
    }
}

/// The first layer, index and codes that differ, if any.
fn first_difference(network: &QuantizedNetwork, fixed: &FixedPointNetwork, input: &[i16]) -> Option<String> {
    let shape = fixed.input.shape;
    let image = Array4::from_shape_vec(
        (1, shape.h.into(), shape.w.into(), shape.c.into()),
        input.iter().map(|code| *code as i8).collect(),
    )
    .unwrap();
    let exact = network.exact_codes(image.view()).unwrap();
    let bytes = encode(fixed).unwrap();
    let model = Model::parse(&bytes).unwrap();
    let mut arena = vec![0x5a; model.arena_bytes()];
    let mut session = Session::new(model, &mut arena).unwrap();
    session.input_mut().copy_from(input.iter().copied());
    let mut found = None;
    session.run_observed(|output| {
        let expected: Vec<i16> = exact[output.index].iter().copied().collect();
        assert_eq!(output.codes.len(), expected.len());
        let index = output.codes.iter().zip(&expected).position(|(a, b)| a != *b);
        if let (Some(index), None) = (index, &found) {
            let (runtime, trainer) = (output.codes.get(index).unwrap(), expected[index]);
            found = Some(format!("layer {}, index {index}: runtime {runtime}, trainer {trainer}", output.node.name));
        }
    });
    found
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1000, ..ProptestConfig::default() })]

    #[test]
    fn exact_forward_equals_the_runtime_on_random_networks(network in random::networks(), seed in any::<u64>()) {
        let fixed = random::fixed_point(&network, seed);
        let parts = parts(&network, &fixed, seed);
        let quantized = QuantizedNetwork::from_parts(&network, fixed.input.exponent, &parts).unwrap();
        prop_assert_eq!(&quantized.to_fixed_point().unwrap(), &fixed);
        let input = random::input_codes(fixed.input, seed);
        prop_assert_eq!(first_difference(&quantized, &fixed, &input), None);
    }
}
