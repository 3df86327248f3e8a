//! The exact forward of the affine scheme, on codes: sums in f64, multiplications in 64-bit integers. Spec 3.4, 4.5, 4.20.

use anyhow::{Result, bail};
use stepshift_runtime::arithmetic::Requantizer;
use stepshift_runtime::format::{AffineBinaryKind, AffineOperand, Window};
use tch::{Kind, Tensor};

use super::QuantizedNetwork;
use crate::export::affine::{mean as mean_factor, product, sum};
use crate::export::bounds::channel_bounds;
use crate::export::{FixedPointLayer, FixedPointNetwork, FixedPointOp};
use crate::network::LayerOp;
use crate::torch::operators::{max_pool, padded, sum_over, weighted_sum, weightless, window_sums};

/// Headroom of an addition's operands. Spec 4.20.
const HEADROOM: f64 = (1_u64 << 20) as f64;

/// Whole factors `multiplier * 2^(shift - 31)`, one for each channel or one for all.
struct Factors {
    multipliers: Vec<i64>,
    shifts: Vec<i8>,
}

impl QuantizedNetwork {
    /// Codes of every tensor, the input first, f64 and whole.
    ///
    /// x  `[N, C, H, W]` input codes
    pub(super) fn affine_codes(&self, x: &Tensor) -> Result<Vec<Tensor>> {
        tch::no_grad(|| {
            let fixed = self.to_fixed_point()?;
            let mut tensors = vec![x.shallow_clone()];
            for index in 0..fixed.layers.len() {
                let codes = self.affine_layer(&fixed, index, &tensors)?;
                let bounds = fixed.layers[index].activation;
                tensors.push(codes.clamp(f64::from(bounds.min), f64::from(bounds.max)));
            }
            Ok(tensors)
        })
    }

    fn affine_layer(&self, fixed: &FixedPointNetwork, index: usize, tensors: &[Tensor]) -> Result<Tensor> {
        let (layer, integers) = (&self.network.layers[index], &fixed.layers[index]);
        let x = &tensors[layer.inputs[0]];
        let (input, output) = (fixed.tensor(layer.inputs[0]), integers.output);
        let (input_zero, output_zero) = (f64::from(input.zero), f64::from(output.zero));
        Ok(match &integers.op {
            FixedPointOp::AffineAveragePool2d { window } => mean(x, window),
            FixedPointOp::AffineMean { axes } => {
                let (sums, count) = sum_over(&(x - input_zero), *axes);
                Factors::one(mean_factor(integers, input, count as usize)?).multiply(&sums) + output_zero
            }
            FixedPointOp::AffineBinary(kind) => binary(fixed, integers, *kind, tensors)?,
            FixedPointOp::Table { codes } => by_table(codes, x, f64::from(input.element.min())),
            FixedPointOp::MaxPool2d { window } => max_pool(x, window),
            op if op.weights().is_some() => {
                let sums = self.affine_sums(&layer.op, index, &(x - input_zero))?;
                factors(fixed, integers)?.multiply(&sums) + output_zero
            }
            // What moves codes.
            _ => {
                let moved: Vec<Tensor> = tensors.iter().map(|codes| codes - input_zero).collect();
                weightless(layer, &moved) + input_zero
            }
        })
    }

    fn affine_sums(&self, op: &LayerOp, index: usize, x: &Tensor) -> Result<Tensor> {
        let Some(constants) = &self.layers[index].constants else { bail!("a layer with weights has none") };
        let input_step = self.output_step(self.network.layers[index].inputs[0]);
        Ok(weighted_sum(op, x, &constants.weight_codes()?, Some(&constants.bias_codes(&input_step)?)))
    }
}

/// The factors of a layer with weights, as the exporter writes them.
fn factors(fixed: &FixedPointNetwork, layer: &FixedPointLayer) -> Result<Factors> {
    let mut factors = Factors { multipliers: Vec::new(), shifts: Vec::new() };
    for channel in channel_bounds(fixed, layer)? {
        let Requantizer::Multiply { multiplier, shift, .. } = channel.requantizer else {
            bail!("layer {}, channel {}: it ends in a shift", layer.name, channel.channel)
        };
        factors.multipliers.push(multiplier.into());
        factors.shifts.push(shift);
    }
    Ok(factors)
}

impl Factors {
    fn one(operand: AffineOperand) -> Self {
        Self { multipliers: vec![operand.multiplier.into()], shifts: vec![operand.shift] }
    }

    /// `R(H(x * 2^max(n, 0), m), max(-n, 0))`. Spec 3.4.
    ///
    /// x       `[N, C, H, W]` f64, whole
    /// output  the same
    fn multiply(&self, x: &Tensor) -> Tensor {
        let by_channel = |values: Vec<i64>| Tensor::from_slice(&values).to_device(x.device()).view([1, -1, 1, 1]);
        let power =
            |exponent: fn(i8) -> i8| by_channel(self.shifts.iter().map(|shift| 1_i64 << exponent(*shift)).collect());
        let (left, right) = (power(|shift| shift.max(0)), power(|shift| (-shift).max(0)));
        let products = x.to_kind(Kind::Int64) * left * by_channel(self.multipliers.clone());
        let half = 1_i64 << 30;
        let rounding = products.ones_like().where_self(&products.lt(0), &products.zeros_like());
        let rounding = &rounding * (1 - 2 * half) + half;
        let high = (products + rounding).divide_scalar_mode(1_i64 << 31, "trunc");
        let magnitude = (high.abs() + right.divide_scalar_mode(2, "floor")).divide_tensor_mode(&right, "floor");
        (high.sign() * magnitude).to_kind(Kind::Double)
    }
}

/// The mean over the part of a window inside the input, half away from zero. Spec 4.5.
fn mean(x: &Tensor, window: &Window) -> Tensor {
    let count = window_sums(&padded(&x.ones_like(), window), window);
    let sums = window_sums(&padded(x, window), window);
    let magnitude = ((sums.abs() * 2.0 + &count) / (count * 2.0)).floor();
    sums.sign() * magnitude
}

/// Two tensors, code by code. Spec 4.20.
fn binary(
    fixed: &FixedPointNetwork,
    layer: &FixedPointLayer,
    kind: AffineBinaryKind,
    tensors: &[Tensor],
) -> Result<Tensor> {
    let operand = |input: usize| &tensors[input] - f64::from(fixed.tensor(input).zero);
    let (a, b) = (operand(layer.inputs[0]), operand(layer.inputs[1]));
    let zero = f64::from(layer.output.zero);
    if kind == AffineBinaryKind::Mul {
        let [_, _, output] = product(fixed, layer)?;
        return Ok(Factors::one(output).multiply(&(a * b)) + zero);
    }
    let [first, second, output] = sum(fixed, layer)?;
    let (a, b) = (Factors::one(first).multiply(&(a * HEADROOM)), Factors::one(second).multiply(&(b * HEADROOM)));
    let both = if kind == AffineBinaryKind::Sub { a - b } else { a + b };
    Ok(Factors::one(output).multiply(&both) + zero)
}

/// least  code of the first entry
fn by_table(codes: &[i16], x: &Tensor, least: f64) -> Tensor {
    let values: Vec<f64> = codes.iter().map(|code| f64::from(*code)).collect();
    let index = (x - least).to_kind(Kind::Int64);
    Tensor::from_slice(&values).to_device(x.device()).index_select(0, &index.flatten(0, -1)).view_as(&index)
}
