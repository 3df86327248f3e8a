//! The forward passes: for training in f32, exact in f64. Spec 5.2.

use anyhow::{Context, Result};
use tch::{Kind, Tensor};

use super::QuantizedNetwork;
use super::lower::Alignment;
use super::norm::Norm;
use crate::network::{LayerActivation, LayerOp};
use crate::quantizer_config::{Products, RangeMethod, Scheme};
use crate::torch::operators::{
    average_pool_by_reciprocal, channels_last, clipped, curve_by_table, flattened, mean_by_reciprocal, weighted_sum,
    weightless,
};
use crate::torch::quantize::exponent::MAX_WEIGHT_SHIFT;
use crate::torch::quantize::gradient::with_quantized_gradient;
use crate::torch::quantize::rows::{extremes, row};
use crate::torch::shim::{fake_quantize, set_products};

/// Units up to which f32 has every integer.
const F32_UNITS: i64 = 1 << 24;

/// What a training forward may change on its way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// Steps follow from the batch, batch norms normalize by it.
    Learning,
    /// Steps and statistics stay; weights learn.
    Frozen,
}

impl QuantizedNetwork {
    /// The training forward, in f32.
    ///
    /// x       `[N, C, H, W]`, input codes times their step
    /// output  `[N, H * W * C]`
    ///
    /// # Errors
    /// Those of libtorch.
    pub fn train_forward(&mut self, x: &Tensor, mode: Mode) -> Result<Tensor> {
        Ok(flattened(&self.train_tensors(x, mode)?.pop().context("there are no layers")?))
    }

    /// Every tensor of the training forward, the input first.
    ///
    /// # Errors
    /// Those of libtorch.
    pub fn train_tensors(&mut self, x: &Tensor, mode: Mode) -> Result<Vec<Tensor>> {
        self.set_learning(mode == Mode::Learning);
        let mut tensors = vec![channels_last(x)];
        for index in 0..self.layers.len() {
            if mode == Mode::Learning {
                self.observe_weights(index);
            }
            let sum = self.train_sum(index, &tensors, mode)?;
            if mode == Mode::Learning {
                self.observe_output(index, &sum, &tensors);
            }
            // Averages are computed in f64.
            let output = self.rounded(index, &sum, true)?.to_kind(Kind::Float);
            tensors.push(with_quantized_gradient(&output, self.layers[index].output_gradient)?);
        }
        // Gradients need not be exact: those of all layers go back by reduced products.
        self.use_products(self.products);
        Ok(tensors)
    }

    /// The products of a layer in the training forward: reduced where no sum of any codes leaves the 24 bits of f32, and no code
    /// the factors' significand. Spec 5.1.
    #[must_use]
    pub fn products(&self, layer: usize) -> Products {
        let Some(constants) = &self.layers[layer].constants else { return Products::F32 };
        if self.scheme == Scheme::Affine {
            return Products::F32;
        }
        let input = self.quantizer(self.network.layers[layer].inputs[0]).settings().codes;
        let (x, w) = (i64::from(input.hi.max(-input.lo)), i64::from(constants.quantizer.settings().codes.hi));
        let exact = constants.weight.size()[1..].iter().product::<i64>() * x * w <= F32_UNITS;
        let fits = |products: &Products| exact && x.max(w) <= products.greatest_code();
        [Products::Bf16, Products::Tf32].into_iter().find(|p| *p <= self.products && fits(p)).unwrap_or_default()
    }

    /// Where every product is a product of f32, there is nothing to switch.
    fn use_products(&self, products: Products) {
        if self.products != Products::F32 {
            set_products(products);
        }
    }

    /// The training forward with the steps as they are: every tensor, the input first.
    ///
    /// # Errors
    /// Those of libtorch.
    pub fn fast_forward(&self, x: &Tensor) -> Result<Vec<Tensor>> {
        self.forward(x, Kind::Float)
    }

    /// The forward without learning, of steps that are powers of two exact in f64.
    pub(super) fn forward(&self, x: &Tensor, kind: Kind) -> Result<Vec<Tensor>> {
        tch::no_grad(|| {
            self.use_products(Products::F32);
            let mut tensors = vec![channels_last(&x.to_kind(kind))];
            for index in 0..self.layers.len() {
                let sum = self.sum(index, &tensors, kind)?;
                tensors.push(self.rounded(index, &sum, false)?.to_kind(kind));
            }
            Ok(tensors)
        })
    }

    fn set_learning(&mut self, learning: bool) {
        for layer in &mut self.layers {
            layer.output.set_learning(learning);
            layer.constants.iter_mut().for_each(|constants| constants.quantizer.set_learning(learning));
        }
    }

    /// What a layer computes before its requantize, on its way through training.
    fn train_sum(&mut self, index: usize, tensors: &[Tensor], mode: Mode) -> Result<Tensor> {
        let input_step = self.output_step(self.network.layers[index].inputs[0]);
        self.use_products(self.products(index));
        let layer = &self.network.layers[index];
        let Some(constants) = &mut self.layers[self.network.weights_of(index)].constants else {
            return self.sum(index, tensors, Kind::Float);
        };
        let x = &tensors[layer.inputs[0]];
        let (weight, bias) = constants.folded();
        let weight = constants.quantized_weight(&weight, Kind::Float, true)?;
        if let (Some(norm), Mode::Learning) = (&mut constants.norm, mode) {
            return Ok(Norm::corrected(norm, &weighted_sum(&layer.op, x, &weight, None)));
        }
        let bias = constants.quantized_bias(&bias, &input_step, Kind::Float, true)?;
        Ok(weighted_sum(&layer.op, x, &weight, Some(&bias)))
    }

    /// What a layer computes before its requantize.
    pub(super) fn sum(&self, index: usize, tensors: &[Tensor], kind: Kind) -> Result<Tensor> {
        let layer = &self.network.layers[index];
        let x = &tensors[layer.inputs[0]];
        Ok(match (&layer.op, self.constants(index)) {
            (LayerOp::PRelu { .. }, _) => self.slopes(index)?.apply(x, kind)?,
            (LayerOp::Mean { axes }, _) => mean_by_reciprocal(x, *axes),
            (LayerOp::AveragePool2d { window }, _) => average_pool_by_reciprocal(x, window),
            // The training forward rounds the curve itself, which has a gradient.
            (LayerOp::Curve(curve), _) if kind == Kind::Double => {
                curve_by_table(*curve, x, self.tensor(layer.inputs[0])?, self.tensor(index + 1)?)
            }
            (_, None) => weightless(layer, tensors),
            (op, Some(constants)) => {
                let (weight, bias) = constants.folded();
                let weight = constants.quantized_weight(&weight, kind, false)?;
                let bias = constants.quantized_bias(&bias, &self.output_step(layer.inputs[0]), kind, false)?;
                weighted_sum(op, x, &weight, Some(&bias))
            }
        })
    }

    /// The requantize that ends a layer. Spec 3.
    fn rounded(&self, index: usize, sum: &Tensor, training: bool) -> Result<Tensor> {
        let layer = &self.network.layers[index];
        let quantizer = self.quantizer(index + 1);
        if layer.op.keeps_exponent() && layer.activation == LayerActivation::None {
            return Ok(sum.shallow_clone());
        }
        if self.keeps_step(index) {
            return quantizer.quantize(&clipped(layer.activation, sum).to_kind(sum.kind()), false);
        }
        if quantizer.zero().is_some() || quantizer.settings().method.is_learned() {
            return quantizer.quantize(&clipped(layer.activation, sum).to_kind(sum.kind()), training);
        }
        // Rounding is monotonic: the codes of 6, and of a clip's ends, are bounds of the codes.
        let bounded = match layer.activation {
            LayerActivation::None | LayerActivation::Relu => sum,
            LayerActivation::Relu6 => &sum.clamp_max(6.0),
            clip @ LayerActivation::Clip { .. } => &clipped(clip, sum),
        };
        let mut rounding = quantizer.rounding(training);
        if layer.activation.is_positive() {
            rounding.lo = 0.0;
        }
        Ok(fake_quantize(bounded, &quantizer.step().to_kind(sum.kind()), None, rounding)?)
    }

    /// The output covers the moving average of its range; requantizes to one scale cover what all of them read. Spec 6.1.
    fn observe_output(&mut self, index: usize, sum: &Tensor, tensors: &[Tensor]) {
        if !self.has_own_step(index) {
            return;
        }
        let values = tch::no_grad(|| self.observed(index, sum, tensors));
        self.layers[index].output.observe(&values);
    }

    /// What a layer's quantizer covers.
    fn observed(&self, index: usize, sum: &Tensor, tensors: &[Tensor]) -> Tensor {
        let alignment = self.alignments.iter().find(|alignment| alignment.layers.start == index);
        let activation = self.network.layers[index].activation;
        match alignment {
            Some(Alignment { layers, .. }) => {
                let inputs = layers.clone().map(|layer| tensors[self.network.layers[layer].inputs[0]].flatten(0, -1));
                Tensor::cat(&inputs.collect::<Vec<_>>(), 0)
            }
            // Clipping is monotonic: the extremes stay the extremes.
            None if self.layers[index].output.settings().method == RangeMethod::Max => {
                let (least, greatest) = extremes(&row(sum));
                clipped(activation, &Tensor::cat(&[least, greatest], 0))
            }
            None => clipped(activation, sum),
        }
    }

    /// Weights cover their range, and no right shift exceeds 20. Spec 6.2.
    pub(super) fn observe_weights(&mut self, index: usize) {
        let input_step = self.output_step(self.network.layers[index].inputs[0]);
        let layer = &mut self.layers[index];
        let Some(constants) = &mut layer.constants else { return };
        let least = tch::no_grad(|| layer.output.step() / input_step * 2_f64.powi(-MAX_WEIGHT_SHIFT));
        constants.observe((self.scheme == Scheme::PowerOfTwo).then_some(&least));
    }
}
