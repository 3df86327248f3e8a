//! The network in floating point, with batch norm.

use anyhow::{Context, Result};
use tch::{Device, Kind, Tensor};

use super::operators::{
    average_pool_by_reciprocal, channels_last, clipped, flattened, prelu, sum_over, weight_shape, weighted_sum,
    weightless,
};
use crate::network::{Layer, LayerOp, Network};

/// Added to a variance before its root.
pub const BATCH_NORM_EPSILON: f64 = 1e-5;

/// Share of a batch's statistics in the running ones.
const BATCH_NORM_MOMENTUM: f64 = 0.1;

/// What the slopes of a PReLU start from (He, Zhang, Ren, Sun 2015, section 2.1).
const INITIAL_SLOPE: f64 = 0.25;

/// Weights and their forward pass.
#[derive(Debug)]
pub struct FloatNetwork {
    network: Network,
    layers: Vec<Option<FloatLayer>>,
    /// `[1]` or `[C]` for each layer that learns slopes.
    slopes: Vec<Option<Tensor>>,
}

/// Constants of a layer with weights.
#[derive(Debug)]
pub struct FloatLayer {
    /// `[C_OUT, C_IN / groups, K_H, K_W]`.
    pub weight: Tensor,
    /// `[C_OUT]`.
    pub bias: Tensor,
    /// Normalization behind it.
    pub norm: Option<BatchNorm>,
}

/// Batch norm of one layer, each `[C_OUT]`.
#[derive(Debug)]
#[expect(missing_docs, reason = "the names are the paper's (Ioffe, Szegedy 2015)")]
pub struct BatchNorm {
    pub gamma: Tensor,
    pub beta: Tensor,
    pub mean: Tensor,
    pub variance: Tensor,
}

impl FloatNetwork {
    /// Weights drawn as by He et al. 2015 from libtorch's generator, seeded here.
    #[must_use]
    pub fn new(network: &Network, seed: u64) -> Self {
        tch::manual_seed(seed.cast_signed());
        let layers = network.layers.iter().map(|layer| initial(network, layer)).collect();
        let slopes = network.layers.iter().map(initial_slopes).collect();
        Self { network: network.clone(), layers, slopes }
    }

    /// The same on a device.
    #[must_use]
    pub fn to_device(mut self, device: Device) -> Self {
        let moved = |tensor: &Tensor| tensor.detach().to_device(device).set_requires_grad(tensor.requires_grad());
        for slopes in self.slopes.iter_mut().flatten() {
            *slopes = moved(slopes);
        }
        for layer in self.layers.iter_mut().flatten() {
            let norm = layer.norm.iter_mut().flat_map(|norm| {
                let BatchNorm { gamma, beta, mean, variance } = norm;
                [gamma, beta, mean, variance]
            });
            for tensor in [&mut layer.weight, &mut layer.bias].into_iter().chain(norm) {
                *tensor = moved(tensor);
            }
        }
        self
    }

    /// The device that its weights are on.
    #[must_use]
    pub fn device(&self) -> Device {
        self.layers.iter().flatten().next().map_or(Device::Cpu, |layer| layer.weight.device())
    }

    /// The network that this one computes.
    #[must_use]
    pub const fn network(&self) -> &Network {
        &self.network
    }

    /// Constants layer by layer; `None` for those without weights.
    #[must_use]
    pub fn layers(&self) -> &[Option<FloatLayer>] {
        &self.layers
    }

    /// Slopes that a layer learned, `[1]` or `[C]`, by its name.
    #[must_use]
    pub fn slopes(&self, name: &str) -> Option<&Tensor> {
        let index = self.network.layers.iter().position(|layer| layer.name == name)?;
        self.slopes[index].as_ref()
    }

    /// The output, `[N, H * W * C]`.
    ///
    /// x      `[N, C, H, W]`
    /// train  normalizes by the batch and updates the running statistics
    pub fn forward(&self, x: &Tensor, train: bool) -> Tensor {
        flattened(self.all_tensors(x, train).last().expect("there is the input"))
    }

    /// Every tensor by the running statistics, the input first.
    pub fn tensors(&self, x: &Tensor) -> Vec<Tensor> {
        self.all_tensors(x, false)
    }

    fn all_tensors(&self, x: &Tensor, train: bool) -> Vec<Tensor> {
        let mut tensors = vec![channels_last(x)];
        for (index, layer) in self.network.layers.iter().enumerate() {
            let constants = self.layers[self.network.weights_of(index)].as_ref();
            let y = match &self.slopes[index] {
                Some(slopes) => prelu(&tensors[layer.inputs[0]], slopes),
                None => layer_forward(layer, constants, &tensors, train),
            };
            tensors.push(y);
        }
        tensors
    }

    /// What the optimizer changes, with names; the flag says that weight decay applies.
    #[must_use]
    pub fn parameters(&self) -> Vec<(String, Tensor, bool)> {
        let mut parameters = self.named(|layer, name, list| {
            list.push((format!("{name}.weight"), layer.weight.shallow_clone(), true));
            match &layer.norm {
                None => list.push((format!("{name}.bias"), layer.bias.shallow_clone(), false)),
                Some(norm) => {
                    list.push((format!("{name}.gamma"), norm.gamma.shallow_clone(), false));
                    list.push((format!("{name}.beta"), norm.beta.shallow_clone(), false));
                }
            }
        });
        // Decay would pull a slope to that of a ReLU (He et al. 2015, section 2.1).
        parameters.extend(self.named_slopes().map(|(name, slopes)| (name, slopes, false)));
        parameters
    }

    /// Everything that a checkpoint holds, with names.
    #[must_use]
    pub fn state(&self) -> Vec<(String, Tensor)> {
        let mut state = self.named(|layer, name, list| {
            list.push((format!("{name}.weight"), layer.weight.shallow_clone()));
            list.push((format!("{name}.bias"), layer.bias.shallow_clone()));
            if let Some(norm) = &layer.norm {
                let tensors = [("gamma", &norm.gamma), ("beta", &norm.beta), ("mean", &norm.mean)];
                for (kind, tensor) in tensors.into_iter().chain([("variance", &norm.variance)]) {
                    list.push((format!("{name}.{kind}"), tensor.shallow_clone()));
                }
            }
        });
        state.extend(self.named_slopes());
        state
    }

    fn named_slopes(&self) -> impl Iterator<Item = (String, Tensor)> {
        let layers = self.network.layers.iter().zip(&self.slopes);
        layers.filter_map(|(layer, slopes)| Some((format!("{}.slope", layer.name), slopes.as_ref()?.shallow_clone())))
    }

    fn named<T>(&self, mut visit: impl FnMut(&FloatLayer, &str, &mut Vec<T>)) -> Vec<T> {
        let mut list = Vec::new();
        for (layer, constants) in self.network.layers.iter().zip(&self.layers) {
            if let Some(constants) = constants {
                visit(constants, &layer.name, &mut list);
            }
        }
        list
    }
}

impl FloatLayer {
    /// Weights and bias with the normalization folded in. Spec 5.4.
    pub fn folded(&self) -> (Tensor, Tensor) {
        let Some(norm) = &self.norm else { return (self.weight.copy(), self.bias.copy()) };
        tch::no_grad(|| {
            let factor = &norm.gamma / (&norm.variance + BATCH_NORM_EPSILON).sqrt();
            let weight = &self.weight * factor.view([-1, 1, 1, 1]);
            let bias = &norm.beta + (&self.bias - &norm.mean) * &factor;
            (weight, bias)
        })
    }
}

fn initial(network: &Network, layer: &Layer) -> Option<FloatLayer> {
    let shape = weight_shape(layer, network.shape(layer.inputs[0]))?;
    let options = (Kind::Float, Device::Cpu);
    let fan_in = shape[1] * shape[2] * shape[3];
    let weight = Tensor::randn(shape, options) * (2.0 / fan_in as f64).sqrt();
    let trained = |tensor: Tensor| tensor.set_requires_grad(true);
    let batch_norm = matches!(
        layer.op,
        LayerOp::Conv2d { batch_norm: true, .. }
            | LayerOp::DepthwiseConv2d { batch_norm: true, .. }
            | LayerOp::TransposeConv2d { batch_norm: true, .. }
    );
    let norm = batch_norm.then(|| BatchNorm {
        gamma: trained(Tensor::ones([shape[0]], options)),
        beta: trained(Tensor::zeros([shape[0]], options)),
        mean: Tensor::zeros([shape[0]], options),
        variance: Tensor::ones([shape[0]], options),
    });
    // Behind a normalization a bias would be subtracted again with the mean.
    let bias = Tensor::zeros([shape[0]], options).set_requires_grad(!batch_norm);
    Some(FloatLayer { weight: trained(weight), bias, norm })
}

fn initial_slopes(layer: &Layer) -> Option<Tensor> {
    let count = layer.op.learned_slopes(layer.output.c)?;
    Some(Tensor::full([count.into()], INITIAL_SLOPE, (Kind::Float, Device::Cpu)).set_requires_grad(true))
}

fn layer_forward(layer: &Layer, constants: Option<&FloatLayer>, tensors: &[Tensor], train: bool) -> Tensor {
    let x = &tensors[layer.inputs[0]];
    let y = match (&layer.op, constants) {
        (LayerOp::Mean { axes }, _) => {
            let (sum, area) = sum_over(x, *axes);
            sum / area
        }
        (LayerOp::AveragePool2d { window }, _) => average_pool_by_reciprocal(x, window).to_kind(x.kind()),
        (_, None) => weightless(layer, tensors),
        (op, Some(FloatLayer { weight, bias, norm: None })) => weighted_sum(op, x, weight, Some(bias)),
        (op, Some(FloatLayer { weight, norm: Some(norm), .. })) => {
            normalized(&weighted_sum(op, x, weight, None), norm, train)
        }
    };
    clipped(layer.activation, &y)
}

fn normalized(x: &Tensor, norm: &BatchNorm, train: bool) -> Tensor {
    x.batch_norm(
        Some(&norm.gamma),
        Some(&norm.beta),
        Some(&norm.mean),
        Some(&norm.variance),
        train,
        BATCH_NORM_MOMENTUM,
        BATCH_NORM_EPSILON,
        false,
    )
}

/// Copies checkpointed tensors into a network's state, by name.
///
/// # Errors
/// Names the tensor that is missing or has another shape.
pub fn restore(state: &[(String, Tensor)], mut find: impl FnMut(&str) -> Option<Tensor>) -> Result<()> {
    for (name, tensor) in state {
        let saved = find(name).with_context(|| format!("tensor {name} is missing"))?;
        // Version 1 of checkpoints has scalars where there is one value now.
        let one = saved.numel() == 1 && tensor.numel() == 1;
        anyhow::ensure!(
            one || saved.size() == tensor.size(),
            "tensor {name} has shape {:?} instead of {:?}",
            saved.size(),
            tensor.size()
        );
        tch::no_grad(|| tensor.shallow_clone().copy_(&saved.view_as(tensor)));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use stepshift_runtime::format::Shape;

    use super::*;
    use crate::torch::test_numbers::{fill_weights, uniform};

    #[test]
    fn folding_keeps_the_float_output() {
        let layers = crate::config::parse(include_str!("../../configs/digits.toml")).unwrap().layers;
        let network = Network::new(Shape { h: 8, w: 8, c: 1 }, &layers).unwrap();
        let float = FloatNetwork::new(&network, 3);
        fill_weights(&float, 3);
        let x = uniform(4, &[64, 1, 8, 8]);
        tch::no_grad(|| {
            for _ in 0..20 {
                let _ = float.forward(&x, true);
            }
            // A gamma of zero silences its channel and must not give a NaN.
            let _ = float.layers[0].as_ref().unwrap().norm.as_ref().unwrap().gamma.get(0).fill_(0.0);
            let expected = float.forward(&x, false);
            let mut folded = FloatNetwork::new(&network, 3);
            for (target, source) in folded.layers.iter_mut().zip(&float.layers) {
                if let (Some(target), Some(source)) = (target, source) {
                    (target.weight, target.bias) = source.folded();
                    target.norm = None;
                }
            }
            let difference = (folded.forward(&x, false) - expected).abs().max().double_value(&[]);
            assert!(difference < 1e-4, "{difference}");
        });
    }
}
