//! The quantized network in integers, in the runtime's layout.

use anyhow::{Context, Result, bail};
use stepshift_runtime::format::{AffineBinaryKind, BinaryKind, Mean, Window};

use super::QuantizedNetwork;
use crate::export::affine::{self, scale_parts};
use crate::export::{FixedPointLayer, FixedPointNetwork, FixedPointOp, FixedPointTensor, FixedPointWeights};
use crate::network::{LayerOp, SLOPE_BITS};
use crate::quantizer_config::Scheme;
use crate::torch::quantize::exponent;

/// A table from one scale to another is too steep.
pub(super) const SMALL_SCALE: &str = "the output's scale is too small for the input's";

impl QuantizedNetwork {
    /// Codes and exponents, in the runtime's layout.
    ///
    /// # Errors
    /// Names the layer with an exponent that is no `i8`, or an operator that the affine scheme does not have.
    pub fn to_fixed_point(&self) -> Result<FixedPointNetwork> {
        let mut layers = Vec::new();
        for (index, layer) in self.network.layers.iter().enumerate() {
            let named = || format!("layer {}", layer.name);
            let input_step = self.output_step(layer.inputs[0]);
            let constants = self.constants(index);
            let weights = constants.map(|constants| constants.to_fixed_point(layer, &input_step, self.scheme));
            let weights = weights.transpose().with_context(named)?;
            let (input, output) = (self.tensor(layer.inputs[0])?, self.tensor(index + 1)?);
            let op = match (&self.layers[index].slopes, self.scheme) {
                (Some(slopes), scheme) => slopes.to_fixed_point(scheme, input, output),
                (None, Scheme::PowerOfTwo) => power_of_two_op(&layer.op, weights, input, output),
                (None, Scheme::Affine) => affine_op(&layer.op, weights, input, output),
            };
            layers.push(FixedPointLayer {
                name: layer.name.clone(),
                inputs: if layer.op == LayerOp::State { Vec::new() } else { layer.inputs.clone() },
                output,
                activation: self.bounds(index),
                op: op.with_context(named)?,
            });
        }
        Ok(FixedPointNetwork { input: self.tensor(0)?, layers })
    }

    /// Shape, element and step of tensor `index`.
    pub(super) fn tensor(&self, index: usize) -> Result<FixedPointTensor> {
        let named = || match index.checked_sub(1) {
            None => "the input".to_owned(),
            Some(layer) => format!("layer {}", self.network.layers[layer].name),
        };
        let quantizer = self.quantizer(index);
        let element = quantizer.settings().codes.element().with_context(named)?;
        let shape = self.network.shape(index);
        if self.scheme == Scheme::PowerOfTwo {
            let exponent = exponent::exponents(quantizer.step())[0];
            let exponent = i8::try_from(exponent).with_context(|| format!("{}: exponent {exponent}", named()))?;
            return Ok(FixedPointTensor { element, ..FixedPointTensor::i8(shape, exponent) });
        }
        let scale = quantizer.step().double_value(&[0]) as f32;
        let parts = scale_parts(scale).with_context(|| format!("{}: scale {scale} is too small", named()))?;
        let zero = quantizer.zero().map_or(0, |zero| zero.double_value(&[0]) as i16);
        Ok(FixedPointTensor { shape, element, exponent: parts.1, mantissa: parts.0, zero })
    }
}

fn weighted_op(op: &LayerOp, weights: FixedPointWeights) -> Result<FixedPointOp> {
    Ok(match op.clone() {
        LayerOp::Conv2d { window, groups, .. } => FixedPointOp::Conv2d { window, groups, weights },
        LayerOp::DepthwiseConv2d { window, .. } => FixedPointOp::DepthwiseConv2d { window, weights },
        LayerOp::TransposeConv2d { window, .. } => FixedPointOp::TransposeConv2d { window, weights },
        LayerOp::FullyConnected { .. } | LayerOp::Repeated { .. } => FixedPointOp::FullyConnected { weights },
        _ => bail!("the operator has no weights"),
    })
}

/// Operators that only move codes, whatever they mean.
fn moving_op(op: &LayerOp, input: FixedPointTensor) -> Option<FixedPointOp> {
    Some(match op.clone() {
        LayerOp::MaxPool2d { window } => FixedPointOp::MaxPool2d { window },
        LayerOp::Clip => FixedPointOp::Clip,
        LayerOp::Slice { start } => FixedPointOp::Slice { start },
        LayerOp::Pad { before } => FixedPointOp::Pad { before, value: input.zero },
        LayerOp::Reshape => FixedPointOp::Reshape,
        LayerOp::Transpose { order } => FixedPointOp::Transpose { order },
        LayerOp::UpsampleNearest => FixedPointOp::UpsampleNearest,
        _ => return None,
    })
}

fn power_of_two_op(
    op: &LayerOp,
    weights: Option<FixedPointWeights>,
    input: FixedPointTensor,
    output: FixedPointTensor,
) -> Result<FixedPointOp> {
    if let Some(weights) = weights {
        return weighted_op(op, weights);
    }
    if let Some(op) = moving_op(op, input) {
        return Ok(op);
    }
    Ok(match op.clone() {
        LayerOp::AveragePool2d { window } => FixedPointOp::AveragePool2d { window },
        LayerOp::Mean { axes } => FixedPointOp::Mean { axes },
        LayerOp::Binary(kind) => FixedPointOp::Binary(kind),
        LayerOp::Rescale => FixedPointOp::Rescale,
        LayerOp::LeakyRelu { slope } => FixedPointOp::LeakyRelu { slopes: vec![slope], slope_bits: SLOPE_BITS },
        LayerOp::Curve(curve) => FixedPointOp::Table { codes: curve.codes(input, output) },
        LayerOp::Concat { axis } => FixedPointOp::Concat { axis },
        LayerOp::UpsampleBilinear => FixedPointOp::UpsampleBilinear,
        LayerOp::State => FixedPointOp::State,
        _ => bail!("a layer with weights has none"),
    })
}

fn affine_op(
    op: &LayerOp,
    weights: Option<FixedPointWeights>,
    input: FixedPointTensor,
    output: FixedPointTensor,
) -> Result<FixedPointOp> {
    if let Some(weights) = weights {
        return weighted_op(op, weights);
    }
    if let Some(op) = moving_op(op, input) {
        return Ok(op);
    }
    Ok(match op.clone() {
        LayerOp::AveragePool2d { window } => FixedPointOp::AffineAveragePool2d { window },
        LayerOp::Mean { axes: Mean::GLOBAL } => {
            let whole = u8::try_from(input.shape.h).ok().zip(u8::try_from(input.shape.w).ok());
            let (h, w) = whole.context("an average over more than 255 rows or columns")?;
            FixedPointOp::AffineAveragePool2d { window: Window::new(h, w) }
        }
        LayerOp::Mean { axes } => FixedPointOp::AffineMean { axes },
        LayerOp::Binary(BinaryKind::Add) => FixedPointOp::AffineBinary(AffineBinaryKind::Add),
        LayerOp::Binary(BinaryKind::Sub) => FixedPointOp::AffineBinary(AffineBinaryKind::Sub),
        LayerOp::Binary(BinaryKind::Mul) => FixedPointOp::AffineBinary(AffineBinaryKind::Mul),
        LayerOp::Curve(curve) => FixedPointOp::Table { codes: curve.codes(input, output) },
        // Of 8 bits, any function is a table.
        LayerOp::Rescale => affine::leaky(1.0, input, output).context(SMALL_SCALE)?,
        LayerOp::LeakyRelu { slope } => {
            let slope = f64::from(slope) * 2_f64.powi(-i32::from(SLOPE_BITS));
            affine::leaky(slope, input, output).context(SMALL_SCALE)?
        }
        // All operands have one scale.
        LayerOp::Binary(kind @ (BinaryKind::Minimum | BinaryKind::Maximum)) => FixedPointOp::Binary(kind),
        LayerOp::Concat { axis } => FixedPointOp::Concat { axis },
        _ => bail!("the affine scheme has no such operator: use quantized.scheme = \"power_of_two\""),
    })
}
