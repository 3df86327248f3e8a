//! What is observed of a network behind a pass: exponents, and histograms of weights and activations.

use std::collections::HashMap;

use tch::{Kind, Tensor};

use super::float_network::FloatNetwork;
use super::quantized_network::QuantizedNetwork;
use crate::network::Network;
use crate::report::{Histogram, LayerObservation};

/// Values of a tensor that a histogram counts, at most.
const VALUES: i64 = 100_000;

/// Layers of the float network.
///
/// x  `[N, C, H, W]`, some test inputs
#[must_use]
pub fn of_float(network: &FloatNetwork, x: &Tensor) -> Vec<LayerObservation> {
    let tensors = tch::no_grad(|| network.tensors(x));
    layers(network.network(), network.state(), &tensors)
}

/// Layers of the quantized network, with its exponents.
///
/// x  `[N, C, H, W]`, some test inputs
///
/// # Errors
/// Those of libtorch.
pub fn of_quantized(network: &QuantizedNetwork, x: &Tensor) -> anyhow::Result<Vec<LayerObservation>> {
    let tensors = network.fast_forward(x)?;
    let mut observed = layers(network.network(), network.state(), &tensors);
    // While ranges are still seen for the first time, a step may be out of range: there is no exponent then.
    if let Ok(fixed) = network.to_fixed_point() {
        for (layer, observation) in fixed.layers.iter().zip(&mut observed) {
            observation.exponent = Some(layer.output.exponent.into());
            let exponents = layer.op.weights().map(|weights| weights.exponents.iter().copied().map(i32::from));
            let ends = exponents.map(|exponents| (exponents.clone().min(), exponents.max()));
            observation.weight_exponents = ends.and_then(|(least, greatest)| least.zip(greatest));
        }
    }
    Ok(observed)
}

/// tensors  the input, then every layer's output
fn layers(network: &Network, state: Vec<(String, Tensor)>, tensors: &[Tensor]) -> Vec<LayerObservation> {
    let state: HashMap<String, Tensor> = state.into_iter().collect();
    let observe = |(layer, output): (&crate::network::Layer, &Tensor)| LayerObservation {
        name: layer.name.clone(),
        exponent: None,
        weight_exponents: None,
        weights: state.get(&format!("{}.weight", layer.name)).and_then(histogram),
        activations: histogram(output),
    };
    network.layers.iter().zip(tensors.iter().skip(1)).map(observe).collect()
}

fn histogram(tensor: &Tensor) -> Option<Histogram> {
    let flat = tensor.detach().flatten(0, -1).to_kind(Kind::Float);
    let every = (flat.size()[0] / VALUES).max(1);
    let values = Vec::<f32>::try_from(flat.slice(0, None, None, every).contiguous()).ok()?;
    Histogram::of(&values)
}
