//! The quantized network without its quantizers: what it is compared with, and what is changed before it is quantized.

use anyhow::{Context, Result};
use tch::{Kind, Tensor};

use super::QuantizedNetwork;
use crate::network::LayerOp;
use crate::torch::operators::{average_pool_by_reciprocal, clipped, mean_by_reciprocal, weighted_sum, weightless};
use crate::torch::quantize::CodeRange;

impl QuantizedNetwork {
    /// What every layer computes before it is clipped, in real numbers of f32.
    ///
    /// x  `[N, C, H, W]`
    ///
    /// # Errors
    /// Those of libtorch.
    pub fn real_sums(&self, x: &Tensor) -> Result<Vec<Tensor>> {
        tch::no_grad(|| {
            let (mut tensors, mut sums) = (vec![x.shallow_clone()], Vec::new());
            for (index, layer) in self.network.layers.iter().enumerate() {
                let x = &tensors[layer.inputs[0]];
                let sum = match (&layer.op, self.constants(index)) {
                    (LayerOp::PRelu { .. }, _) => self.slopes(index)?.apply_real(x),
                    (LayerOp::Mean { axes }, _) => mean_by_reciprocal(x, *axes),
                    (LayerOp::AveragePool2d { window }, _) => average_pool_by_reciprocal(x, window),
                    (_, None) => weightless(layer, &tensors),
                    (op, Some(constants)) => {
                        let (weight, bias) = constants.folded();
                        weighted_sum(op, x, &weight, Some(&bias))
                    }
                };
                let sum = sum.to_kind(Kind::Float);
                tensors.push(clipped(layer.activation, &sum));
                sums.push(sum);
            }
            Ok(sums)
        })
    }

    /// Every tensor in real numbers, the input first.
    ///
    /// # Errors
    /// Those of libtorch.
    pub fn real_forward(&self, x: &Tensor) -> Result<Vec<Tensor>> {
        let sums = self.real_sums(x)?;
        let outputs = self.network.layers.iter().zip(sums).map(|(layer, sum)| clipped(layer.activation, &sum));
        Ok(std::iter::once(x.shallow_clone()).chain(outputs).collect())
    }

    /// What a layer reads first, of the quantized network.
    pub(in crate::torch) fn quantized_input(&self, x: &Tensor, layer: usize) -> Result<Tensor> {
        let mut tensors = self.fast_forward(x)?;
        Ok(tensors.swap_remove(self.network.layers[layer].inputs[0]))
    }

    /// What a layer of the quantized network computes before its requantize.
    pub(in crate::torch) fn quantized_sum(&self, x: &Tensor, layer: usize) -> Result<Tensor> {
        let tensors = self.fast_forward(x)?;
        tch::no_grad(|| self.sum(layer, &tensors, Kind::Float))
    }

    /// Weights and bias before they are quantized; `None` where there are none, or a batch norm is folded in at every step.
    pub(in crate::torch) fn real_constants(&self, layer: usize) -> Option<(Tensor, Tensor)> {
        let constants = self.layers[layer].constants.as_ref().filter(|constants| constants.norm.is_none())?;
        Some((constants.weight.detach(), constants.bias.detach()))
    }

    /// Steps `[C_OUT]` or `[1]` and codes of a layer's weights.
    pub(in crate::torch) fn weight_steps(&self, layer: usize) -> Result<(Tensor, CodeRange)> {
        let constants = self.layers[layer].constants.as_ref().context("the layer has no weights")?;
        Ok((constants.quantizer.step().shallow_clone(), constants.quantizer.settings().codes))
    }

    /// Codes times steps of a layer's weights; `None` for layers without.
    pub(in crate::torch) fn quantized_weight(&self, layer: usize) -> Result<Option<Tensor>> {
        let Some(constants) = &self.layers[layer].constants else { return Ok(None) };
        tch::no_grad(|| constants.quantized_weight(&constants.folded().0, Kind::Float, false).map(Some))
    }

    pub(in crate::torch) fn set_real_constants(&mut self, layer: usize, weight: &Tensor, bias: &Tensor) {
        self.set_real_weight(layer, weight);
        self.set_real_bias(layer, bias);
    }

    pub(in crate::torch) fn set_real_weight(&mut self, layer: usize, weight: &Tensor) {
        if let Some(constants) = &mut self.layers[layer].constants {
            tch::no_grad(|| constants.weight.copy_(weight));
        }
    }

    pub(in crate::torch) fn set_real_bias(&mut self, layer: usize, bias: &Tensor) {
        if let Some(constants) = &mut self.layers[layer].constants {
            tch::no_grad(|| constants.bias.copy_(bias));
        }
    }
}
