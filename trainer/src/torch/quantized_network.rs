//! The quantized network: its training forward in f32, its exact forward in f64, its integers.

use anyhow::{Context, Result, ensure};
use ndarray::{Array4, ArrayView4};
use stepshift_runtime::format::{Mean, WeightBits};
use tch::{Kind, Tensor};

use super::batches::to_tensor;
use super::float_network::FloatNetwork;
use super::operators::{
    average_by_reciprocal, average_pool_by_reciprocal, clipped, curve_by_table, weighted_sum, weightless,
};
use super::shim::fake_quantize;
use super::steps::{self, MAX_CODE, MAX_WEIGHT_SHIFT, cover};
use crate::config::QuantizedConfig;
use crate::export::{FixedPointLayer, FixedPointNetwork, FixedPointOp, FixedPointTensor, FixedPointWeights};
use crate::network::{Layer, LayerActivation, LayerOp, Network, SLOPE_BITS};

/// Biases are rounded and not clamped: an overflow is the exporter's to name. Spec 2.1.
const UNBOUNDED: f64 = (1_u64 << 50) as f64;

/// Float weights with the steps at which they are used.
#[derive(Debug)]
pub struct QuantizedNetwork {
    network: Network,
    input_step: Tensor,
    layers: Vec<QuantizedLayer>,
    range_momentum: f64,
}

/// Steps and constants of one layer.
#[derive(Debug)]
struct QuantizedLayer {
    /// Moving average of the output's greatest magnitude; 0 before the first batch.
    range: Tensor,
    /// Step of the output; one element.
    step: Tensor,
    /// Not chosen from the range.
    fixed: bool,
    constants: Option<Constants>,
}

/// Constants of a layer with weights.
#[derive(Debug)]
struct Constants {
    /// `[C_OUT, C_IN / groups, K_H, K_W]`.
    weight: Tensor,
    /// `[C_OUT]`.
    bias: Tensor,
    /// `[C_OUT]`.
    step: Tensor,
    /// Not chosen from the weights.
    fixed: bool,
}

/// A layer of a network that was put together by hand.
#[derive(Debug, Clone, PartialEq)]
pub struct LayerParts {
    /// log2 of the output's step.
    pub exponent: i8,
    /// For layers with weights.
    pub constants: Option<ConstantParts>,
}

/// Float weights and their exponents.
#[derive(Debug, Clone, PartialEq)]
pub struct ConstantParts {
    /// `[C_OUT, C_IN / groups, K_H, K_W]`, flattened; of a fully connected layer `[C_OUT, H, W, C_IN]`.
    pub weight: Vec<f32>,
    /// `[C_OUT]`.
    pub bias: Vec<f32>,
    /// `[C_OUT]`.
    pub exponents: Vec<i8>,
}

impl QuantizedNetwork {
    /// Folds a trained network's batch norms; ranges are not known yet.
    ///
    /// # Errors
    /// Names a layer whose exponents the config fixes and cannot.
    pub fn fold(float: &FloatNetwork, input_exponent: i8, config: &QuantizedConfig) -> Result<Self> {
        let network = float.network().clone();
        let fixed = |name: &str| config.layers.get(name).copied().unwrap_or_default();
        let mut layers = Vec::new();
        for (layer, constants) in network.layers.iter().zip(float.layers()) {
            let fixed = fixed(&layer.name);
            let refusal = || format!("quantized.layers.{}", layer.name);
            ensure!(
                fixed.activation_exponent.is_none() || !layer.op.keeps_exponent(),
                "{}: the operator keeps its input's exponent",
                refusal()
            );
            ensure!(fixed.weight_exponent.is_none() || constants.is_some(), "{}: the layer has no weights", refusal());
            let constants = constants.as_ref().map(|constants| {
                let (weight, bias) = constants.folded();
                let exponent = fixed.weight_exponent.unwrap_or(-100);
                let step = steps::from_exponent(exponent).expand(bias.size(), false).contiguous();
                let trained = |tensor: Tensor| tensor.detach().set_requires_grad(true);
                Constants { weight: trained(weight), bias: trained(bias), step, fixed: fixed.weight_exponent.is_some() }
            });
            layers.push(QuantizedLayer {
                range: Tensor::from(0_f32),
                // Before the first batch no output's step may raise a weight's.
                step: steps::from_exponent(fixed.activation_exponent.unwrap_or(-100)),
                fixed: fixed.activation_exponent.is_some(),
                constants,
            });
        }
        let input_step = steps::from_exponent(input_exponent);
        Ok(Self { network, input_step, layers, range_momentum: config.range_momentum })
    }

    /// A network of known weights and exponents, frozen.
    ///
    /// # Errors
    /// Names the layer whose parts do not fit it.
    pub fn from_parts(network: &Network, input_exponent: i8, parts: &[LayerParts]) -> Result<Self> {
        ensure!(parts.len() == network.layers.len(), "{} parts for {} layers", parts.len(), network.layers.len());
        let layers = network.layers.iter().zip(parts).map(|(layer, parts)| {
            let shape = super::operators::weight_shape(layer, network.shape(layer.inputs[0]));
            let constants = match (&parts.constants, shape) {
                (None, None) => None,
                (Some(parts), Some(shape)) if parts.weight.len() as i64 == shape.iter().product::<i64>() => {
                    let exponents: Vec<f32> = parts.exponents.iter().map(|exponent| f32::from(*exponent)).collect();
                    Some(Constants {
                        weight: Tensor::from_slice(&parts.weight).view(shape),
                        bias: Tensor::from_slice(&parts.bias),
                        step: steps::power_of_two(&Tensor::from_slice(&exponents)),
                        fixed: true,
                    })
                }
                _ => anyhow::bail!("layer {}: the weights do not fit", layer.name),
            };
            let step = steps::from_exponent(parts.exponent);
            Ok(QuantizedLayer { range: Tensor::from(0_f32), step, fixed: true, constants })
        });
        let layers = layers.collect::<Result<_>>()?;
        let input_step = steps::from_exponent(input_exponent);
        Ok(Self { network: network.clone(), input_step, layers, range_momentum: 0.0 })
    }

    /// The network that this one computes.
    #[must_use]
    pub const fn network(&self) -> &Network {
        &self.network
    }

    /// log2 of the step of the input's codes.
    #[must_use]
    pub fn input_exponent(&self) -> i32 {
        steps::exponents(&self.input_step)[0]
    }

    /// The training forward, in f32; chooses exponents from this batch's ranges unless `frozen`.
    ///
    /// x       `[N, C, H, W]`, input codes times their step
    /// output  `[N, classes]`
    ///
    /// # Errors
    /// Those of libtorch.
    pub fn train_forward(&mut self, x: &Tensor, frozen: bool) -> Result<Tensor> {
        let mut tensors = vec![x.shallow_clone()];
        for index in 0..self.layers.len() {
            if !frozen {
                self.choose_weight_step(index);
            }
            let sum = self.unrounded(index, &tensors, Kind::Float)?;
            if !frozen {
                self.choose_step(index, &sum);
            }
            tensors.push(self.rounded(index, &sum, Kind::Float)?);
        }
        Ok(tensors.pop().context("there are no layers")?.flatten(1, -1))
    }

    /// The exact forward, in f64: every tensor, the input first. Spec 5.2.
    ///
    /// x  `[N, C, H, W]` f64, input codes times their step
    ///
    /// # Errors
    /// Those of libtorch.
    pub fn exact_forward(&self, x: &Tensor) -> Result<Vec<Tensor>> {
        self.forward(x, Kind::Double)
    }

    /// The training forward with the exponents as they are: every tensor, the input first.
    ///
    /// # Errors
    /// Those of libtorch.
    pub fn fast_forward(&self, x: &Tensor) -> Result<Vec<Tensor>> {
        self.forward(x, Kind::Float)
    }

    fn forward(&self, x: &Tensor, kind: Kind) -> Result<Vec<Tensor>> {
        tch::no_grad(|| {
            let mut tensors = vec![x.to_kind(kind)];
            for index in 0..self.layers.len() {
                let sum = self.unrounded(index, &tensors, kind)?;
                tensors.push(self.rounded(index, &sum, kind)?);
            }
            Ok(tensors)
        })
    }

    /// Codes of every layer's output by the exact forward, `[N, H, W, C]`.
    ///
    /// images  `[N, H, W, C]` input codes
    ///
    /// # Errors
    /// Those of libtorch.
    pub fn exact_codes(&self, images: ArrayView4<'_, i8>) -> Result<Vec<Array4<i16>>> {
        let x = to_tensor(images).to_kind(Kind::Double) * self.input_step.to_kind(Kind::Double);
        let tensors = self.exact_forward(&x)?;
        (0..self.layers.len()).map(|layer| to_codes(&tensors[layer + 1], &self.output_step(layer + 1))).collect()
    }

    /// Fixes every exponent from the ranges seen so far.
    pub fn freeze(&mut self) {
        for index in 0..self.layers.len() {
            self.choose_weight_step(index);
        }
    }

    /// What the optimizer changes, with names; the flag says that weight decay applies.
    #[must_use]
    pub fn parameters(&self) -> Vec<(String, Tensor, bool)> {
        let mut list = Vec::new();
        for (name, constants) in self.with_constants() {
            list.push((format!("{name}.weight"), constants.weight.shallow_clone(), true));
            list.push((format!("{name}.bias"), constants.bias.shallow_clone(), false));
        }
        list
    }

    /// Everything that a checkpoint holds, with names.
    #[must_use]
    pub fn state(&self) -> Vec<(String, Tensor)> {
        let mut list: Vec<_> = self.parameters().into_iter().map(|(name, tensor, _)| (name, tensor)).collect();
        for (name, constants) in self.with_constants() {
            list.push((format!("{name}.weight_step"), constants.step.shallow_clone()));
        }
        for (layer, state) in self.network.layers.iter().zip(&self.layers) {
            list.push((format!("{}.range", layer.name), state.range.shallow_clone()));
            list.push((format!("{}.step", layer.name), state.step.shallow_clone()));
        }
        list
    }

    fn with_constants(&self) -> impl Iterator<Item = (&str, &Constants)> {
        let layers = self.network.layers.iter().zip(&self.layers);
        layers.filter_map(|(layer, state)| Some((layer.name.as_str(), state.constants.as_ref()?)))
    }

    /// The step of tensor `index`, passed on by operators that keep their input's.
    fn output_step(&self, index: usize) -> Tensor {
        let Some(layer) = index.checked_sub(1) else { return self.input_step.shallow_clone() };
        if self.network.layers[layer].op.keeps_exponent() {
            return self.output_step(self.network.layers[layer].inputs[0]);
        }
        self.layers[layer].step.shallow_clone()
    }

    /// What a layer computes before its requantize.
    fn unrounded(&self, index: usize, tensors: &[Tensor], kind: Kind) -> Result<Tensor> {
        let layer = &self.network.layers[index];
        let x = &tensors[layer.inputs[0]];
        Ok(match (&layer.op, &self.layers[index].constants) {
            (LayerOp::GlobalAveragePool, _) => average_by_reciprocal(x),
            (LayerOp::AveragePool2d { window }, _) => average_pool_by_reciprocal(x, window),
            // The training forward rounds the curve itself, which has a gradient.
            (LayerOp::Curve(curve), _) if kind == Kind::Double => {
                curve_by_table(*curve, x, self.tensor(layer.inputs[0])?, self.tensor(index + 1)?)
            }
            (_, None) => weightless(layer, tensors),
            (op, Some(constants)) => {
                let weight = constants.quantized_weight(kind)?;
                let bias = constants.quantized_bias(&self.output_step(layer.inputs[0]), kind)?;
                weighted_sum(op, x, &weight, Some(&bias))
            }
        })
    }

    /// Shape and exponent of tensor `index`.
    fn tensor(&self, index: usize) -> Result<FixedPointTensor> {
        let exponent = steps::exponents(&self.output_step(index))[0];
        let exponent = i8::try_from(exponent).with_context(|| format!("tensor {index}: exponent {exponent}"))?;
        Ok(FixedPointTensor::i8(self.network.shape(index), exponent))
    }

    /// The requantize that ends a layer. Spec 3.
    fn rounded(&self, index: usize, sum: &Tensor, kind: Kind) -> Result<Tensor> {
        let layer = &self.network.layers[index];
        let lo = if layer.activation == LayerActivation::None { -MAX_CODE - 1.0 } else { 0.0 };
        let step = self.output_step(index + 1).to_kind(sum.kind());
        // Rounding is monotonic: the code of 6 is a bound of the codes.
        let bounded = if layer.activation == LayerActivation::Relu6 { &sum.clamp_max(6.0) } else { sum };
        Ok(fake_quantize(bounded, &step, lo, MAX_CODE)?.to_kind(kind))
    }

    /// Weights cover their greatest magnitude, and no right shift exceeds 20. Spec 6.2.
    fn choose_weight_step(&mut self, index: usize) {
        let input_step = self.output_step(self.network.layers[index].inputs[0]);
        let layer = &mut self.layers[index];
        let Some(constants) = layer.constants.as_mut().filter(|constants| !constants.fixed) else { return };
        tch::no_grad(|| {
            let least = &layer.step / input_step * 2_f64.powi(-MAX_WEIGHT_SHIFT);
            let covering = cover(&constants.weight.abs().flatten(1, -1).amax([1].as_slice(), false));
            constants.step.copy_(&covering.maximum(&least));
        });
    }

    /// The output covers the moving average of its greatest magnitude. Spec 6.1.
    fn choose_step(&mut self, index: usize, sum: &Tensor) {
        let layer = &self.network.layers[index];
        let state = &mut self.layers[index];
        if state.fixed || layer.op.keeps_exponent() {
            return;
        }
        tch::no_grad(|| {
            let greatest = clipped(layer.activation, sum).abs().max().to_kind(Kind::Float);
            let average = &state.range * self.range_momentum + &greatest * (1.0 - self.range_momentum);
            state.range.copy_(&greatest.where_self(&state.range.eq(0.0), &average));
            state.step.copy_(&cover(&state.range));
        });
    }

    /// Codes and exponents, in the runtime's layout.
    ///
    /// # Errors
    /// Names the layer with an exponent that is no `i8`.
    pub fn to_fixed_point(&self) -> Result<FixedPointNetwork> {
        let mut layers = Vec::new();
        for (index, (layer, state)) in self.network.layers.iter().zip(&self.layers).enumerate() {
            let input_step = self.output_step(layer.inputs[0]);
            let constants = state.constants.as_ref().map(|constants| constants.to_fixed_point(layer, &input_step));
            let weights = constants.transpose().with_context(|| format!("layer {}", layer.name))?;
            let (input, output) = (self.tensor(layer.inputs[0])?, self.tensor(index + 1)?);
            layers.push(FixedPointLayer {
                name: layer.name.clone(),
                inputs: layer.inputs.clone(),
                output,
                activation: layer.activation.bounds(output),
                op: fixed_point_op(&layer.op, weights, input, output)?,
            });
        }
        Ok(FixedPointNetwork { input: self.tensor(0)?, layers })
    }
}

impl Constants {
    fn quantized_weight(&self, kind: Kind) -> Result<Tensor> {
        Ok(fake_quantize(&self.weight.to_kind(kind), &self.step.to_kind(kind), -MAX_CODE, MAX_CODE)?)
    }

    fn quantized_bias(&self, input_step: &Tensor, kind: Kind) -> Result<Tensor> {
        let step = self.step.to_kind(kind) * input_step.to_kind(kind);
        Ok(fake_quantize(&self.bias.to_kind(kind), &step, -UNBOUNDED, UNBOUNDED)?)
    }

    fn to_fixed_point(&self, layer: &Layer, input_step: &Tensor) -> Result<FixedPointWeights> {
        tch::no_grad(|| {
            let step = self.step.to_kind(Kind::Double);
            let codes = self.quantized_weight(Kind::Double)? / step.view([-1, 1, 1, 1]);
            // A fully connected layer's weights are in the input's order already.
            let order = match layer.op {
                LayerOp::DepthwiseConv2d { .. } => [1, 2, 3, 0],
                LayerOp::FullyConnected { .. } => [0, 1, 2, 3],
                _ => [0, 2, 3, 1],
            };
            let codes = codes.permute(order).contiguous().flatten(0, -1).to_kind(Kind::Int16);
            let unit = &step * input_step.to_kind(Kind::Double);
            let bias = self.quantized_bias(input_step, Kind::Double)? / unit;
            let narrow = |exponent| i8::try_from(exponent).with_context(|| format!("weight exponent {exponent}"));
            Ok(FixedPointWeights {
                bits: WeightBits::Eight,
                codes: Vec::try_from(codes)?,
                mantissas: Vec::new(),
                exponents: steps::exponents(&step).into_iter().map(narrow).collect::<Result<_>>()?,
                bias: Vec::try_from(bias.to_kind(Kind::Int64))?,
            })
        })
    }
}

fn fixed_point_op(
    op: &LayerOp,
    weights: Option<FixedPointWeights>,
    input: FixedPointTensor,
    output: FixedPointTensor,
) -> Result<FixedPointOp> {
    Ok(match (op.clone(), weights) {
        (LayerOp::Conv2d { window, groups, .. }, Some(weights)) => FixedPointOp::Conv2d { window, groups, weights },
        (LayerOp::DepthwiseConv2d { window, .. }, Some(weights)) => FixedPointOp::DepthwiseConv2d { window, weights },
        (LayerOp::TransposeConv2d { window, .. }, Some(weights)) => FixedPointOp::TransposeConv2d { window, weights },
        (LayerOp::FullyConnected { .. }, Some(weights)) => FixedPointOp::FullyConnected { weights },
        (LayerOp::MaxPool2d { window }, _) => FixedPointOp::MaxPool2d { window },
        (LayerOp::AveragePool2d { window }, _) => FixedPointOp::AveragePool2d { window },
        (LayerOp::GlobalAveragePool, _) => FixedPointOp::Mean { axes: Mean::GLOBAL },
        (LayerOp::Binary(kind), _) => FixedPointOp::Binary(kind),
        (LayerOp::Clip, _) => FixedPointOp::Clip,
        (LayerOp::Rescale, _) => FixedPointOp::Rescale,
        (LayerOp::LeakyRelu { slope }, _) => FixedPointOp::LeakyRelu { slopes: vec![slope], slope_bits: SLOPE_BITS },
        (LayerOp::Curve(curve), _) => FixedPointOp::Table { codes: curve.codes(input, output) },
        (LayerOp::Concat { axis }, _) => FixedPointOp::Concat { axis },
        (LayerOp::Slice { start }, _) => FixedPointOp::Slice { start },
        (LayerOp::Pad { before }, _) => FixedPointOp::Pad { before, value: 0 },
        (LayerOp::Reshape, _) => FixedPointOp::Reshape,
        (LayerOp::Transpose { order }, _) => FixedPointOp::Transpose { order },
        (LayerOp::UpsampleNearest, _) => FixedPointOp::UpsampleNearest,
        (LayerOp::UpsampleBilinear, _) => FixedPointOp::UpsampleBilinear,
        (_, None) => anyhow::bail!("a layer with weights has none"),
    })
}

/// `[N, C, H, W]` values to `[N, H, W, C]` codes.
fn to_codes(values: &Tensor, step: &Tensor) -> Result<Array4<i16>> {
    let codes = (values / step.to_kind(values.kind())).permute([0, 2, 3, 1]).contiguous();
    let size = codes.size();
    let extent = |dimension: usize| size[dimension] as usize;
    let flat = Vec::<i16>::try_from(codes.flatten(0, -1).to_kind(Kind::Int16))?;
    Ok(Array4::from_shape_vec((extent(0), extent(1), extent(2), extent(3)), flat)?)
}
