//! Weights and biases of one layer, and the codes at which they are used.

use anyhow::{Context, Result};
use tch::{Kind, Tensor};

use super::norm::{Folded, Norm};
use crate::export::FixedPointWeights;
use crate::export::affine::scale_parts;
use crate::network::{Layer, LayerOp};
use crate::quantizer_config::Scheme;
use crate::torch::quantize::gradient::with_quantized_gradient;
use crate::torch::quantize::{Quantizer, Settings, codes, exponent};
use crate::torch::shim::{Rounding, fake_quantize};

/// Biases are rounded and not clamped: an overflow is the exporter's to name. Spec 2.1.
const UNBOUNDED: f64 = (1_u64 << 50) as f64;

/// Constants of a layer with weights.
#[derive(Debug)]
pub(super) struct Constants {
    /// `[C_OUT, C_IN / groups, K_H, K_W]`.
    pub(super) weight: Tensor,
    /// `[C_OUT]`.
    pub(super) bias: Tensor,
    /// Of the weights.
    pub(super) quantizer: Quantizer,
    /// Of the bias, before it is rounded to the accumulator's step.
    pub(super) bias_quantizer: Option<Quantizer>,
    /// Normalization that is folded in again at every step.
    pub(super) norm: Option<Norm>,
    pub(super) weight_gradient: Option<Settings>,
    pub(super) bias_gradient: Option<Settings>,
}

impl Constants {
    /// Weights and bias with the normalization's running statistics folded in.
    pub(super) fn folded(&self) -> (Tensor, Tensor) {
        match &self.norm {
            None => (self.weight.shallow_clone(), self.bias.shallow_clone()),
            Some(norm) => {
                let Folded { weight, bias } = norm.fold(&self.weight, &self.bias);
                (weight, bias)
            }
        }
    }

    /// Chooses the weights' steps. Spec 6.2.
    ///
    /// least  no step is below it
    pub(super) fn observe(&mut self, least: Option<&Tensor>) {
        let (weight, bias) = tch::no_grad(|| self.folded());
        self.quantizer.observe(&weight);
        if let Some(least) = least {
            self.quantizer.at_least(least);
        }
        if let Some(quantizer) = &mut self.bias_quantizer {
            quantizer.observe(&bias);
        }
    }

    /// Codes times steps, of `weight` folded or not.
    pub(super) fn quantized_weight(&self, weight: &Tensor, kind: Kind, training: bool) -> Result<Tensor> {
        let weight =
            if training { with_quantized_gradient(weight, self.weight_gradient)? } else { weight.shallow_clone() };
        self.quantizer.quantize(&weight.to_kind(kind), training)
    }

    /// The bias at the accumulator's step. Spec 2.1.
    pub(super) fn quantized_bias(
        &self,
        bias: &Tensor,
        input_step: &Tensor,
        kind: Kind,
        training: bool,
    ) -> Result<Tensor> {
        let bias = if training { with_quantized_gradient(bias, self.bias_gradient)? } else { bias.shallow_clone() };
        let bias = match &self.bias_quantizer {
            Some(quantizer) => quantizer.quantize(&bias.to_kind(kind), training)?,
            None => bias.to_kind(kind),
        };
        let step = self.quantizer.step().to_kind(kind) * input_step.to_kind(kind);
        Ok(fake_quantize(&bias, &step, None, Rounding::half_up(-UNBOUNDED, UNBOUNDED))?)
    }

    /// Codes of the weights, in the layout that they are trained in, f64.
    pub(super) fn weight_codes(&self) -> Result<Tensor> {
        let (weight, _) = self.folded();
        let step = self.quantizer.step().to_kind(Kind::Double).view([-1, 1, 1, 1]);
        Ok((self.quantized_weight(&weight, Kind::Double, false)? / step).round())
    }

    /// The bias in units of the accumulator's step, f64.
    pub(super) fn bias_codes(&self, input_step: &Tensor) -> Result<Tensor> {
        let (_, bias) = self.folded();
        let unit = self.quantizer.step().to_kind(Kind::Double) * input_step.to_kind(Kind::Double);
        Ok((self.quantized_bias(&bias, input_step, Kind::Double, false)? / unit).round())
    }

    /// Codes and exponents in the runtime's layout.
    pub(super) fn to_fixed_point(
        &self,
        layer: &Layer,
        input_step: &Tensor,
        scheme: Scheme,
    ) -> Result<FixedPointWeights> {
        tch::no_grad(|| {
            // A fully connected layer's weights are in the input's order already.
            let order = match layer.op {
                LayerOp::DepthwiseConv2d { .. } => [1, 2, 3, 0],
                LayerOp::FullyConnected { .. } | LayerOp::Repeated { .. } => [0, 1, 2, 3],
                _ => [0, 2, 3, 1],
            };
            let codes = self.weight_codes()?.permute(order).contiguous().flatten(0, -1).to_kind(Kind::Int16);
            let out_ch = self.bias.size()[0];
            let steps = self.quantizer.step().expand([out_ch], true).contiguous();
            let (mantissas, exponents) = match scheme {
                Scheme::PowerOfTwo => (Vec::new(), narrow_exponents(&steps)?),
                Scheme::Affine => scales(&steps)?,
            };
            Ok(FixedPointWeights {
                bits: codes::stored(self.quantizer.settings().bits),
                codes: Vec::try_from(codes)?,
                mantissas,
                exponents,
                bias: Vec::try_from(self.bias_codes(input_step)?.to_kind(Kind::Int64))?,
            })
        })
    }
}

fn narrow_exponents(steps: &Tensor) -> Result<Vec<i8>> {
    let narrow = |exponent| i8::try_from(exponent).with_context(|| format!("weight exponent {exponent}"));
    exponent::exponents(steps).into_iter().map(narrow).collect()
}

fn scales(steps: &Tensor) -> Result<(Vec<u32>, Vec<i8>)> {
    let parts = Vec::<f32>::try_from(steps)?.into_iter().map(|step| {
        scale_parts(step).with_context(|| format!("weight scale {step}: it must be a positive number, 2^-104 or more"))
    });
    Ok(parts.collect::<Result<Vec<_>>>()?.into_iter().unzip())
}
