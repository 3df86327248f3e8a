use tch::{Device, Kind, Tensor};

use super::*;
use crate::config;
use crate::network::Network;
use crate::torch::float_network::FloatNetwork;
use crate::torch::operators::clipped;
use crate::torch::test_numbers::{fill_weights, uniform};
use stepshift_runtime::format::Shape;

/// The digits' network with channels that a batch norm scales by up to `2^apart`, and the next layer back, folded.
fn network(seed: u64, bits: u8, apart: f64) -> (QuantizedNetwork, Vec<Tensor>) {
    let text = include_str!("../../../configs/digits.toml");
    let more = format!("[quantized.weights]\nbits = {bits}\ngranularity = 'tensor'\n[[layers]]");
    let config = config::parse(&text.replacen("[[layers]]", &more, 1)).unwrap();
    let network = Network::new(Shape { h: 8, w: 8, c: 1 }, &config.layers).unwrap();
    let float = FloatNetwork::new(&network, 4);
    fill_weights(&float, 100 * seed);
    // Channels apart in one layer, and back in the only one that reads it: from conv1 to conv2, from the depthwise layer to the pointwise one.
    for pair in [[0, 1], [2, 3]] {
        let [first, second] = pair.map(|layer| float.layers()[layer].as_ref().unwrap());
        let gamma = &first.norm.as_ref().unwrap().gamma;
        let spread = Tensor::linspace(-apart, apart, gamma.size()[0], (Kind::Float, Device::Cpu)).exp2();
        tch::no_grad(|| {
            gamma.shallow_clone().copy_(&(gamma * &spread));
            second.weight.shallow_clone().copy_(&(&second.weight / spread.view([1, -1, 1, 1])));
        });
    }
    let batches = (0..4).map(|batch| uniform(100 * seed + 50 + batch, &[64, 1, 8, 8])).collect();
    (QuantizedNetwork::fold(&float, -4, &config.quantized).unwrap(), batches)
}

/// Quantizes a network; the mean squared error of its output, as a share of the mean square of what it was in real numbers.
fn quantized((mut network, batches): (QuantizedNetwork, Vec<Tensor>), config: &str) -> (f64, Report) {
    let reference: Vec<Tensor> = batches.iter().map(|x| network.real_forward(x).unwrap().pop().unwrap()).collect();
    let config: CalibrationConfig = toml::from_str(config).unwrap();
    let report = quantize(&mut network, &batches, &config, |_| ()).unwrap();
    let (mut noise, mut signal) = (0.0, 0.0);
    for (x, real) in batches.iter().zip(reference) {
        let output = network.fast_forward(x).unwrap().pop().unwrap();
        noise += (output - &real).square().sum(Kind::Double).double_value(&[]);
        signal += real.square().sum(Kind::Double).double_value(&[]);
    }
    (noise / signal, report)
}

const PLAIN: &str = "images = 256\nequalize = false\nbias_correction = false";
const EQUALIZED: &str = "images = 256\nbias_correction = false";

#[test]
fn equalization_keeps_the_float_function_and_serves_one_step_a_tensor() {
    let (mut even, batches) = network(5, 4, 2.0);
    let before = even.real_forward(&batches[0]).unwrap().pop().unwrap();
    let pairs = super::equalize::pairs(&even);
    super::equalize::even_out(&mut even, &pairs);
    let after = even.real_forward(&batches[0]).unwrap().pop().unwrap();
    let difference = ((&after - &before).abs().max() / before.abs().max()).double_value(&[]);
    assert!(difference < 1e-4, "{difference}");
    let (plain, _) = quantized(network(5, 4, 2.0), PLAIN);
    let (equalized, report) = quantized(network(5, 4, 2.0), EQUALIZED);
    assert!(equalized < 0.7 * plain, "{equalized} after {plain}");
    assert!(!report.equalized.is_empty());
}

/// Where no layer scales channels apart, to even them out may add to the error.
#[test]
fn pairs_whose_equalization_adds_to_the_error_stay_as_they_were() {
    let (mut all, mut some, mut none) = (0, 0, 0);
    // The last is better off without any pair than with what remains where they are put back one by one.
    for (seed, bits) in (0..10).map(|seed| (seed, 4)).chain([(1, 3)]) {
        let (plain, _) = quantized(network(seed, bits, 0.0), PLAIN);
        let (equalized, report) = quantized(network(seed, bits, 0.0), EQUALIZED);
        assert!(equalized <= plain, "seed {seed}: {equalized} after {plain}");
        assert!(report.equalized.is_empty() == (equalized == plain), "seed {seed}: {report:?}");
        *match (report.equalized.is_empty(), report.left.is_empty()) {
            (false, true) => &mut all,
            (false, false) => &mut some,
            _ => &mut none,
        } += 1;
    }
    assert!(all > 0 && some > 0 && none > 0, "all pairs {all} times, some {some} times, none {none} times");
}

#[test]
fn corrected_biases_lessen_the_error() {
    let (plain, _) = quantized(network(5, 3, 2.0), PLAIN);
    let (corrected, _) = quantized(network(5, 3, 2.0), "images = 256\nequalize = false");
    assert!(corrected < 0.8 * plain, "{corrected} after {plain}");
}

/// Mean squared error of a layer's output before its requantize, from what it is in real numbers.
fn layer_error(network: &QuantizedNetwork, layer: usize, real: &[Tensor], batches: &[Tensor]) -> f64 {
    let end = network.network().layers[layer].activation;
    let output = |x: &Tensor| clipped(end, &network.quantized_sum(x, layer).unwrap());
    let errors = batches.iter().zip(real).map(|(x, real)| (output(x) - clipped(end, real)).square().mean(Kind::Double));
    errors.map(|error| error.double_value(&[])).sum()
}

#[test]
fn learned_rounding_lessens_the_error_and_stays_within_a_code() {
    let (mut network, batches) = network(5, 3, 0.0);
    let real: Vec<Tensor> = batches.iter().map(|x| network.real_sums(x).unwrap().swap_remove(0)).collect();
    let weight = network.real_constants(0).unwrap().0.copy();
    calibrate(&mut network, &batches).unwrap();
    let nearest = layer_error(&network, 0, &real, &batches);
    assert_eq!(super::adaround::round_layer(&mut network, 0, &batches, 400).unwrap(), Some(true));
    let learned = layer_error(&network, 0, &real, &batches);
    assert!(learned < 0.95 * nearest, "{learned} after {nearest}");
    let (step, codes) = network.weight_steps(0).unwrap();
    let inside =
        weight.clamp(f64::from(codes.lo) * step.double_value(&[0]), f64::from(codes.hi) * step.double_value(&[0]));
    let moved = (network.real_constants(0).unwrap().0 - inside).abs() / step;
    assert!(moved.max().double_value(&[]) < 1.0 + 1e-4);
}

#[test]
fn layers_keep_the_nearest_codes_where_learned_rounding_adds_to_the_error() {
    let (mut learned, mut nearest) = (0, 0);
    for seed in 0..5 {
        let (mut network, batches) = network(seed, 3, 2.0);
        let real: Vec<Vec<Tensor>> = batches.iter().map(|x| network.real_sums(x).unwrap()).collect();
        calibrate(&mut network, &batches).unwrap();
        for layer in [0, 2, 8] {
            let real: Vec<Tensor> = real.iter().map(|sums| sums[layer].shallow_clone()).collect();
            let before = layer_error(&network, layer, &real, &batches);
            let weight = network.real_constants(layer).unwrap().0.copy();
            let is_learned = super::adaround::round_layer(&mut network, layer, &batches, 100).unwrap().unwrap();
            let after = layer_error(&network, layer, &real, &batches);
            assert!(after <= before, "seed {seed}, layer {layer}: {after} after {before}");
            let stays = weight.equal(&network.real_constants(layer).unwrap().0);
            assert_eq!(stays, !is_learned);
            *(if is_learned { &mut learned } else { &mut nearest }) += 1;
        }
    }
    assert!(learned > 0 && nearest > 0, "{learned} learned, {nearest} nearest");
}
