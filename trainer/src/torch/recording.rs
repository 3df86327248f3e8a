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
    of_one_step(network.network(), layers(network.network(), network.state(), &tensors))
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
            observation.exponent = Some(layer.output.log2_step());
            let exponents = layer.op.weights().map(|weights| weights.log2_steps());
            let ends = exponents.map(|exponents| (exponents.clone().min(), exponents.max()));
            observation.weight_exponents = ends.and_then(|(least, greatest)| least.zip(greatest));
        }
    }
    Ok(of_one_step(network.network(), observed))
}

/// Without the steps of recurrent layers behind the first, which have the same exponents and weights.
fn of_one_step(network: &Network, observed: Vec<LayerObservation>) -> Vec<LayerObservation> {
    let repeats = |index| network.cells.iter().any(|cell| (cell.step(1)..cell.step(cell.steps)).contains(&index));
    observed.into_iter().enumerate().filter(|(index, _)| !repeats(*index)).map(|(_, layer)| layer).collect()
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

#[cfg(test)]
mod tests {
    use stepshift_runtime::format::Shape;

    use super::*;
    use crate::networks::NetworkName;

    #[test]
    fn one_step_of_a_recurrent_layer_is_observed() {
        let network = Network::new(Shape { h: 3, w: 2, c: 1 }, &NetworkName::GruKeyword.layers(2)).unwrap();
        let observed =
            of_float(&FloatNetwork::new(&network, 1), &Tensor::ones([1, 1, 3, 2], (Kind::Float, tch::Device::Cpu)));
        let names: Vec<&str> = observed.iter().map(|layer| layer.name.as_str()).collect();
        assert!(names.contains(&"gru.input") && names.contains(&"gru.0.output") && names.contains(&"fc"), "{names:?}");
        assert!(!names.iter().any(|name| name.contains(".1.") || name.contains(".2.")), "{names:?}");
    }
}
