use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use tch::{Device, Kind, Tensor};

use super::*;
use crate::config;
use crate::network::Network;
use crate::torch::float_network::FloatNetwork;
use stepshift_runtime::format::Shape;

/// The digits' network with channels that a batch norm scales by up to `2^apart`, and the next layer back, folded.
fn network(bits: u8, apart: f64) -> (QuantizedNetwork, Vec<Tensor>) {
    let text = include_str!("../../../configs/digits.toml");
    let more = format!("[quantized.weights]\nbits = {bits}\ngranularity = 'tensor'\n[[layers]]");
    let config = config::parse(&text.replacen("[[layers]]", &more, 1)).unwrap();
    let network = Network::new(Shape { h: 8, w: 8, c: 1 }, &config.layers).unwrap();
    let float = FloatNetwork::new(&network, 4);
    // Numbers of this test's own: libtorch's are those of every test that runs beside it.
    let mut rng = ChaCha8Rng::seed_from_u64(5);
    let mut random = |shape: &[i64]| {
        let values: Vec<f32> = (0..shape.iter().product()).map(|_: i64| rng.random()).collect();
        Tensor::from_slice(&values).reshape(shape)
    };
    for layer in float.layers().iter().flatten() {
        let shape = layer.weight.size();
        let reach = (6.0 / shape[1..].iter().product::<i64>() as f64).sqrt();
        tch::no_grad(|| layer.weight.shallow_clone().copy_(&((random(&shape) * 2.0 - 1.0) * reach)));
    }
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
    let batches = (0..4).map(|_| random(&[64, 1, 8, 8])).collect();
    (QuantizedNetwork::fold(&float, -4, &config.quantized).unwrap(), batches)
}

/// Mean squared error of the quantized network's output, as a share of the mean square of what it was in real numbers.
fn quantized(bits: u8, config: &str) -> f64 {
    let (mut network, batches) = network(bits, 2.0);
    let reference: Vec<Tensor> = batches.iter().map(|x| network.real_forward(x).unwrap().pop().unwrap()).collect();
    let config: CalibrationConfig = toml::from_str(config).unwrap();
    quantize(&mut network, &batches, &config, |_| ()).unwrap();
    let (mut noise, mut signal) = (0.0, 0.0);
    for (x, real) in batches.iter().zip(reference) {
        let output = network.fast_forward(x).unwrap().pop().unwrap();
        noise += (output - &real).square().sum(Kind::Double).double_value(&[]);
        signal += real.square().sum(Kind::Double).double_value(&[]);
    }
    noise / signal
}

#[test]
fn equalization_keeps_the_float_function_and_serves_one_step_a_tensor() {
    let (mut network, batches) = network(4, 2.0);
    let before = network.real_forward(&batches[0]).unwrap().pop().unwrap();
    super::equalize::equalize(&mut network);
    let after = network.real_forward(&batches[0]).unwrap().pop().unwrap();
    let difference = ((&after - &before).abs().max() / before.abs().max()).double_value(&[]);
    assert!(difference < 1e-4, "{difference}");
    let plain = quantized(4, "images = 256\nequalize = false\nbias_correction = false");
    let equalized = quantized(4, "images = 256\nbias_correction = false");
    assert!(equalized < 0.7 * plain, "{equalized} after {plain}");
}

#[test]
fn corrected_biases_lessen_the_error() {
    let plain = quantized(3, "images = 256\nequalize = false\nbias_correction = false");
    let corrected = quantized(3, "images = 256\nequalize = false");
    assert!(corrected < 0.8 * plain, "{corrected} after {plain}");
}

/// Mean squared error of the first layer's sums, from what they are in real numbers.
fn first_layer_error(network: &QuantizedNetwork, real: &[Tensor], batches: &[Tensor]) -> f64 {
    let pairs = batches.iter().zip(real);
    let each = pairs.map(|(x, real)| (network.quantized_sum(x, 0).unwrap() - real).square().mean(Kind::Double));
    each.map(|error| error.double_value(&[])).sum()
}

#[test]
fn learned_rounding_lessens_the_error_and_stays_within_a_code() {
    let (mut network, batches) = network(3, 0.0);
    let real: Vec<Tensor> = batches.iter().map(|x| network.real_sums(x).unwrap().swap_remove(0)).collect();
    let weight = network.real_constants(0).unwrap().0.copy();
    let plain: CalibrationConfig = toml::from_str("images = 256\nequalize = false\nbias_correction = false").unwrap();
    quantize(&mut network, &batches, &plain, |_| ()).unwrap();
    let nearest = first_layer_error(&network, &real, &batches);
    super::adaround::round_layer(&mut network, 0, &batches, 400).unwrap();
    let learned = first_layer_error(&network, &real, &batches);
    assert!(learned < 0.95 * nearest, "{learned} after {nearest}");
    let (step, codes) = network.weight_steps(0).unwrap();
    let inside =
        weight.clamp(f64::from(codes.lo) * step.double_value(&[0]), f64::from(codes.hi) * step.double_value(&[0]));
    let moved = (network.real_constants(0).unwrap().0 - inside).abs() / step;
    assert!(moved.max().double_value(&[]) < 1.0 + 1e-4);
}
