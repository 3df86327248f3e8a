//! The trainer's exact forward against the runtime: every code of every layer of random networks.

use ndarray::Array4;
use proptest::prelude::*;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use stepshift_runtime::format::BinaryKind;
use stepshift_runtime::{Model, Session};
use stepshift_tests::random;
use stepshift_trainer::export::{FixedPointNetwork, FixedPointOp, FixedPointWeights, encode};
use stepshift_trainer::network::{LayerOp, Network};
use stepshift_trainer::quantizer_config::Scheme;
use stepshift_trainer::torch::quantized_network::{ConstantParts, LayerParts, QuantizedNetwork};

/// Float weights and biases that round to a network's codes: on the codes, at ties, and near ties.
fn parts(network: &Network, fixed: &FixedPointNetwork, seed: u64) -> Vec<LayerParts> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed ^ 0xf10a7);
    let layers = network.layers.iter().zip(&fixed.layers);
    layers
        .map(|(layer, fixed_layer)| LayerParts {
            output: fixed_layer.output,
            constants: fixed_layer.op.weights().map(|weights| {
                let input = fixed.tensor(fixed_layer.inputs[0]);
                constants(&layer.op, weights, input.step(), &mut rng)
            }),
            slopes: slopes(&layer.op, &fixed_layer.op),
        })
        .collect()
}

/// Real slopes that round to a PReLU's: a quarter of a unit above or below.
fn slopes(op: &LayerOp, fixed: &FixedPointOp) -> Option<Vec<f32>> {
    let (LayerOp::PRelu { .. }, FixedPointOp::LeakyRelu { slopes, slope_bits }) = (op, fixed) else { return None };
    let offset = |index: usize| if index.is_multiple_of(2) { 0.25 } else { -0.5 };
    let slopes = slopes.iter().enumerate().map(|(index, code)| f32::from(*code) + offset(index));
    Some(slopes.map(|slope| slope * 2_f32.powi(-i32::from(*slope_bits))).collect())
}

fn constants(op: &LayerOp, weights: &FixedPointWeights, input_step: f64, rng: &mut ChaCha8Rng) -> ConstantParts {
    let out_ch = weights.bias.len();
    let filter_len = weights.codes.len() / out_ch;
    let steps: Vec<f64> = (0..out_ch).map(|channel| step(weights, channel)).collect();
    let mut weight = Vec::new();
    for (oc, step) in steps.iter().enumerate() {
        for i in 0..filter_len {
            let code = weights.codes[code_index(op, filter_len, out_ch, oc, i)];
            weight.push(((f64::from(code) + offset(weights, rng)) * step) as f32);
        }
    }
    let bias = weights.bias.iter().zip(&steps).map(|(bias, step)| {
        // Half a unit more can be told in f32 below 2^23.
        let offset = if bias.abs() < 1 << 20 { offset(weights, rng) } else { 0.0 };
        ((*bias as f64 + offset) * step * input_step) as f32
    });
    let bias = bias.collect();
    ConstantParts { bias, weight, steps: steps.iter().map(|step| *step as f32).collect(), bits: weights.bits }
}

fn step(weights: &FixedPointWeights, channel: usize) -> f64 {
    let mantissa = weights.mantissas.get(channel).copied().unwrap_or(1);
    f64::from(mantissa) * 2_f64.powi(weights.exponents[channel].into())
}

/// A tie rounds up: half a unit below a code is that code. Real steps have no exact ties.
fn offset(weights: &FixedPointWeights, rng: &mut ChaCha8Rng) -> f64 {
    let tie = if weights.mantissas.is_empty() { -0.5 } else { -0.25 };
    [0.0, tie, 0.25, -0.375, 0.4375][rng.random_range(0..5)]
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

/// False where a minimum or maximum of several scales became a sum: the trainer would bring them to one.
fn has_one_scale(network: &Network, fixed: &FixedPointNetwork) -> bool {
    let selects = |op: &LayerOp| matches!(op, LayerOp::Binary(BinaryKind::Minimum | BinaryKind::Maximum));
    let mut layers = network.layers.iter().zip(&fixed.layers);
    layers.all(|(layer, fixed)| !selects(&layer.op) || matches!(fixed.op, FixedPointOp::Binary(_)))
}

/// The first layer, index and codes that differ, if any.
fn first_difference(network: &QuantizedNetwork, fixed: &FixedPointNetwork, input: &[i16]) -> Option<String> {
    let shape = fixed.input.shape;
    let image = Array4::from_shape_vec((1, shape.h.into(), shape.w.into(), shape.c.into()), input.to_vec()).unwrap();
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
            found = Some(format!("layer {}, index {index}: runtime {runtime}, trainer {trainer}", output.name));
        }
    });
    found
}

/// Integers back from the trainer's network, and every code of one image.
fn check(network: &Network, fixed: &FixedPointNetwork, scheme: Scheme, seed: u64) -> Result<(), TestCaseError> {
    let parts = parts(network, fixed, seed);
    let quantized = QuantizedNetwork::from_parts(network, scheme, fixed.input, &parts).unwrap();
    prop_assert_eq!(&quantized.to_fixed_point().unwrap(), fixed);
    let input = random::input_codes(fixed.input, seed);
    prop_assert_eq!(first_difference(&quantized, fixed, &input), None);
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 500, ..ProptestConfig::default() })]

    #[test]
    fn exact_forward_equals_the_runtime_on_random_networks(network in random::networks(), seed in any::<u64>()) {
        check(&network, &random::fixed_point(&network, seed), Scheme::PowerOfTwo, seed)?;
    }

    #[test]
    fn exact_forward_equals_the_runtime_in_every_width(network in random::networks(), seed in any::<u64>()) {
        check(&network, &random::mixed_widths(&network, seed), Scheme::PowerOfTwo, seed)?;
    }

    #[test]
    fn exact_forward_equals_the_runtime_in_the_affine_scheme(network in random::networks(), seed in any::<u64>()) {
        let network = random::affine_operators(network);
        if let Some(fixed) = random::affine(&network, seed).filter(|fixed| has_one_scale(&network, fixed)) {
            check(&network, &fixed, Scheme::Affine, seed)?;
        }
    }
}
