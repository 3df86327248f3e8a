//! A network of known weights and steps, put together by hand.

use anyhow::{Result, ensure};
use stepshift_runtime::format::WeightBits;
use tch::{Device, Tensor};

use super::constants::Constants;
use super::slopes::Slopes;
use super::{QuantizedLayer, QuantizedNetwork};
use crate::export::FixedPointTensor;
use crate::network::{Layer, Network};
use crate::quantizer_config::{Products, Scheme};
use crate::torch::operators::weight_shape;
use crate::torch::quantize::{CodeRange, Quantizer, Settings};

/// A layer of a network that was put together by hand.
#[derive(Debug, Clone, PartialEq)]
pub struct LayerParts {
    /// Element and step of what it writes.
    pub output: FixedPointTensor,
    /// For layers with weights.
    pub constants: Option<ConstantParts>,
    /// `[1]` or `[C]`, for layers that learn slopes.
    pub slopes: Option<Vec<f32>>,
}

/// Float weights and their steps.
#[derive(Debug, Clone, PartialEq)]
pub struct ConstantParts {
    /// `[C_OUT, C_IN / groups, K_H, K_W]`, flattened; of a fully connected layer `[C_OUT, H, W, C_IN]`.
    pub weight: Vec<f32>,
    /// `[C_OUT]`.
    pub bias: Vec<f32>,
    /// `[C_OUT]`.
    pub steps: Vec<f32>,
    /// Width of the weights' codes.
    pub bits: WeightBits,
}

impl QuantizedNetwork {
    /// A network of known weights and steps, frozen.
    ///
    /// # Errors
    /// Names the layer whose parts do not fit it.
    pub fn from_parts(
        network: &Network,
        scheme: Scheme,
        input: FixedPointTensor,
        parts: &[LayerParts],
    ) -> Result<Self> {
        ensure!(parts.len() == network.layers.len(), "{} parts for {} layers", parts.len(), network.layers.len());
        let layers = network.layers.iter().zip(parts).map(|(layer, parts)| {
            let constants = constants(network, layer, parts.constants.as_ref())?;
            let output = quantizer(parts.output);
            let slopes = slopes(layer, parts.slopes.as_deref())?;
            Ok(QuantizedLayer { output, output_gradient: None, constants, slopes })
        });
        let layers = layers.collect::<Result<_>>()?;
        let alignments = Vec::new();
        let network = network.clone();
        Ok(Self { network, input: quantizer(input), layers, scheme, alignments, products: Products::F32 })
    }
}

fn slopes(layer: &Layer, parts: Option<&[f32]>) -> Result<Option<Slopes>> {
    let count = layer.op.learned_slopes(layer.output.c).map(usize::from);
    ensure!(parts.map(<[f32]>::len) == count, "layer {}: the slopes do not fit", layer.name);
    Ok(parts.map(|values| Slopes::new(&Tensor::from_slice(values), Device::Cpu)))
}

fn quantizer(tensor: FixedPointTensor) -> Quantizer {
    let codes = CodeRange { lo: tensor.element.min().into(), hi: tensor.element.max().into() };
    let zero = (tensor.zero != 0).then(|| Tensor::from_slice(&[f32::from(tensor.zero)]));
    Quantizer::with_step(Settings::of_codes(codes), Tensor::from_slice(&[tensor.step() as f32]), zero)
}

fn constants(network: &Network, layer: &Layer, parts: Option<&ConstantParts>) -> Result<Option<Constants>> {
    let shape = weight_shape(layer, network.shape(layer.inputs[0]));
    let (parts, shape) = match (parts, shape) {
        (None, None) => return Ok(None),
        (Some(parts), Some(shape)) if parts.weight.len() as i64 == shape.iter().product::<i64>() => (parts, shape),
        _ => anyhow::bail!("layer {}: the weights do not fit", layer.name),
    };
    let settings = Settings::of_codes(CodeRange::narrow(parts.bits.bits() as u8));
    Ok(Some(Constants {
        weight: Tensor::from_slice(&parts.weight).view(shape),
        bias: Tensor::from_slice(&parts.bias),
        quantizer: Quantizer::with_step(settings, Tensor::from_slice(&parts.steps), None),
        bias_quantizer: None,
        norm: None,
        weight_gradient: None,
        bias_gradient: None,
    }))
}
