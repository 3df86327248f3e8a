//! A quantized network from a float one: batch norms folded, kept or unfolded, and a quantizer for each tensor.

use anyhow::{Context, Result, ensure};
use stepshift_runtime::format::Window;
use tch::{Device, Tensor};

use super::constants::Constants;
use super::lower::{Alignment, Lowered};
use super::norm::Norm;
use super::slopes::Slopes;
use super::{QuantizedLayer, QuantizedNetwork};
use crate::config::{BatchNormMode, LayerQuantizers, QuantizedConfig};
use crate::network::{Layer, LayerActivation, LayerOp, Network};
use crate::quantizer_config::{Granularity, QuantizerConfig, Scheme};
use crate::recurrent::Cell;
use crate::torch::float_network::{BATCH_NORM_EPSILON, FloatLayer, FloatNetwork};
use crate::torch::quantize::{CodeRange, Quantizer, Settings, exponent};

/// Ending of the name of a batch norm that is a layer of its own.
const NORM_ENDING: &str = ".norm";

/// Weights and biases of a layer, before they are quantized.
pub(super) struct Real {
    weight: Tensor,
    bias: Tensor,
    norm: Option<Norm>,
}

pub(super) fn build(float: &FloatNetwork, input_exponent: i8, config: &QuantizedConfig) -> Result<QuantizedNetwork> {
    let (network, constants) = match config.batch_norm {
        BatchNormMode::Unfolded => unfolded(float),
        mode => (
            float.network().clone(),
            float.layers().iter().map(|layer| layer.as_ref().map(|layer| real(layer, mode))).collect(),
        ),
    };
    network.check_scheme(config.scheme)?;
    let Lowered { network, constants, alignments } = match config.scheme {
        Scheme::PowerOfTwo => Lowered::of_powers_of_two(network, constants),
        Scheme::Affine => Lowered::of_affine(network, constants),
    };
    let mut layers = Vec::new();
    for (index, (layer, real)) in network.layers.iter().zip(constants).enumerate() {
        let own = own_quantizers(config, &alignments, index, &layer.name);
        let quantized = quantized_layer(&network, index, real, &own, config);
        let quantized = quantized.with_context(|| format!("quantized.layers.{}", layer.name))?;
        let slopes = float.slopes(&layer.name).map(|slopes| Slopes::new(slopes, float.device()));
        layers.push(QuantizedLayer { slopes, ..on_device(quantized, float.device()) });
    }
    let input = Quantizer::with_step(Settings::of_codes(CodeRange::signed(8)), exponent::step(input_exponent), None);
    let input = input.to_device(float.device());
    let QuantizedConfig { scheme, products, .. } = *config;
    Ok(QuantizedNetwork { network, input, layers, scheme, alignments, products })
}

/// What is otherwise for a layer; what the config says of the output of one that reads requantizes is theirs.
fn own_quantizers(config: &QuantizedConfig, alignments: &[Alignment], index: usize, name: &str) -> LayerQuantizers {
    let before = alignments.iter().find(|alignment| alignment.layers.contains(&index));
    let name = before.map_or(name, |alignment| &alignment.reader);
    let own = config.layers.get(name).copied().unwrap_or_default();
    let is_read = before.is_none() && alignments.iter().any(|alignment| alignment.reader == name);
    LayerQuantizers { activations: own.activations.filter(|_| !is_read), ..own }
}

fn real(layer: &FloatLayer, mode: BatchNormMode) -> Real {
    match (&layer.norm, mode) {
        (Some(norm), BatchNormMode::Corrected) => {
            Real { weight: layer.weight.copy(), bias: layer.bias.copy(), norm: Some(Norm::of(norm)) }
        }
        _ => {
            let (weight, bias) = layer.folded();
            Real { weight, bias, norm: None }
        }
    }
}

/// The network with every batch norm as a depthwise 1x1 convolution behind its layer: `m * x + b` for each channel. Spec 4.2.
fn unfolded(float: &FloatNetwork) -> (Network, Vec<Option<Real>>) {
    let source = float.network();
    let mut network = Network { input: source.input, layers: Vec::new(), cells: Vec::new() };
    let mut constants = Vec::new();
    // Number of each tensor of the source in the new network.
    let mut tensors = vec![0];
    for (index, (layer, state)) in source.layers.iter().zip(float.layers()).enumerate() {
        let moved = network.layers.len();
        if let Some(cell) = source.cells.iter().find(|cell| cell.first == index) {
            // The layers of a cell have no norms: they stay side by side.
            let states =
                cell.states.iter().map(|(state, last)| (state + moved - index, last + moved - index)).collect();
            network.cells.push(Cell { first: moved, states, ..cell.clone() });
        }
        let inputs = layer.inputs.iter().map(|input| tensors[*input]).collect();
        let norm = state.as_ref().and_then(|state| state.norm.as_ref());
        let activation = if norm.is_some() { LayerActivation::None } else { layer.activation };
        let op = match layer.op {
            LayerOp::Repeated { layer } => LayerOp::Repeated { layer: tensors[layer + 1] - 1 },
            ref op => op.clone(),
        };
        network.layers.push(Layer { inputs, activation, op, ..layer.clone() });
        constants.push(state.as_ref().map(|state| Real {
            weight: state.weight.copy(),
            bias: state.bias.copy(),
            norm: None,
        }));
        if let Some(norm) = norm {
            let op = LayerOp::DepthwiseConv2d { window: Window::new(1, 1), multiplier: 1, batch_norm: false };
            let name = format!("{}{NORM_ENDING}", layer.name);
            let inputs = vec![network.layers.len()];
            network.layers.push(Layer { name, inputs, op, activation: layer.activation, output: layer.output });
            constants.push(Some(tch::no_grad(|| {
                let factor = &norm.gamma / (&norm.variance + BATCH_NORM_EPSILON).sqrt();
                let bias = &norm.beta - &norm.mean * &factor;
                Real { weight: factor.view([-1, 1, 1, 1]), bias, norm: None }
            })));
        }
        tensors.push(network.layers.len());
    }
    (network, constants)
}

fn quantized_layer(
    network: &Network,
    index: usize,
    real: Option<Real>,
    own: &LayerQuantizers,
    config: &QuantizedConfig,
) -> Result<QuantizedLayer> {
    let layer = &network.layers[index];
    let cell_exponent = network.cell_exponent(index);
    let keeps = super::keeps_step(&layer.op, config.scheme);
    let chosen = own.activations.is_some() || own.activation_exponent.is_some();
    ensure!(!chosen || !keeps, "the operator keeps its input's step");
    ensure!(!chosen || cell_exponent.is_none(), "a recurrent layer's activations have steps of their own");
    let weighted = own.weights.is_some() || own.weight_exponent.is_some() || own.biases.is_some();
    ensure!(!weighted || real.is_some(), "the layer has no weights");
    let fixed = own.activation_exponent.is_some() || own.weight_exponent.is_some();
    ensure!(!fixed || config.scheme == Scheme::PowerOfTwo, "the affine scheme has no exponents to fix");
    let activations = own.activations.unwrap_or_default().or(config.activations);
    let positive = layer.activation.is_positive();
    let settings = Settings::activations(activations, config.scheme, positive, config.range_momentum)?;
    let output = match (cell_exponent, own.activation_exponent) {
        (Some(exponent), _) => {
            Quantizer::with_step(Settings::of_codes(CodeRange::signed(16)), exponent::step(exponent), None)
        }
        (None, Some(exponent)) => Quantizer::with_step(settings, exponent::step(exponent), None),
        (None, None) => Quantizer::new(settings, &[1])?,
    };
    let gradient = own.gradients.activations.or(config.gradients.activations);
    Ok(QuantizedLayer {
        output,
        output_gradient: gradient.map(|config| Settings::gradient(config, 1)),
        constants: real.map(|real| constants(network, layer, real, own, config)).transpose()?,
        slopes: None,
    })
}

/// The quantizers of a layer on the device of its weights.
fn on_device(layer: QuantizedLayer, device: Device) -> QuantizedLayer {
    let constants = layer.constants.map(|constants| Constants {
        quantizer: constants.quantizer.to_device(device),
        bias_quantizer: constants.bias_quantizer.map(|quantizer| quantizer.to_device(device)),
        ..constants
    });
    QuantizedLayer { output: layer.output.to_device(device), constants, ..layer }
}

fn constants(
    network: &Network,
    layer: &Layer,
    real: Real,
    own: &LayerQuantizers,
    config: &QuantizedConfig,
) -> Result<Constants> {
    let by_channel = QuantizerConfig { granularity: Some(Granularity::Channel), ..QuantizerConfig::default() };
    let weights = own.weights.unwrap_or_default().or(config.weights).or(by_channel);
    ensure!(weights.granularity != Some(Granularity::InputChannel), "the runtime has no step for an input channel");
    let settings = Settings::weights(weights, config.scheme);
    let shape = crate::torch::operators::weight_shape(layer, network.shape(layer.inputs[0])).context("no weights")?;
    let quantizer = match own.weight_exponent {
        Some(exponent) => {
            Quantizer::with_step(settings, exponent::step(exponent).expand([shape[0]], false).contiguous(), None)
        }
        None => Quantizer::new(settings, &shape)?,
    };
    let biases = own.biases.or(config.biases);
    let bias_quantizer = biases.map(|config_of_biases| {
        ensure!(config.scheme == Scheme::PowerOfTwo, "biases of the affine scheme have 32 bits");
        Quantizer::new(Settings::weights(config_of_biases, config.scheme), &[shape[0]])
    });
    let gradient = |own: Option<QuantizerConfig>, all: Option<QuantizerConfig>| {
        own.or(all).map(|config| Settings::gradient(config, 0))
    };
    let trained = |tensor: Tensor| tensor.detach().set_requires_grad(true);
    // Behind a normalization a bias would be subtracted again with the mean.
    let bias = if real.norm.is_some() { real.bias.detach() } else { trained(real.bias) };
    Ok(Constants {
        weight: trained(real.weight),
        bias,
        quantizer,
        bias_quantizer: bias_quantizer.transpose()?,
        norm: real.norm,
        weight_gradient: gradient(own.gradients.weights, config.gradients.weights),
        bias_gradient: gradient(own.gradients.biases, config.gradients.biases),
    })
}

#[cfg(test)]
mod tests {
    use stepshift_runtime::format::Shape;

    use super::*;
    use crate::config;

    #[test]
    fn the_net_of_nics_fix_has_twenty_activation_quantizers() {
        let config = config::parse(include_str!("../../../configs/cifar10-nics-fix.toml")).unwrap();
        let network = config.network(Shape { h: 32, w: 32, c: 3 }, 10).unwrap();
        let quantized = build(&FloatNetwork::new(&network, 1), -7, &config.quantized).unwrap();
        let count = (0..quantized.layers.len()).filter(|layer| quantized.has_own_step(*layer)).count();
        assert_eq!(count, 20);
        let sixteen = |gradient: Option<Settings>| gradient.is_some_and(|settings| settings.bits == 16);
        for layer in &quantized.layers {
            assert!(layer.output.settings().bits == 8 && sixteen(layer.output_gradient));
            let constants = layer.constants.iter();
            constants
                .for_each(|constants| assert!(sixteen(constants.weight_gradient) && sixteen(constants.bias_gradient)));
        }
    }
}
