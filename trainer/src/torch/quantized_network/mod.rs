//! The quantized network.
//!
//! `build` makes one from a float network, `parts` from known codes. `constants` and `slopes` are what a layer learns. `forward` trains it and evaluates it, `affine` is the exact
//! forward of the affine scheme, for which `lower` makes several layers of some, `fixed_point` turns it into integers.

mod affine;
mod build;
mod constants;
mod fixed_point;
mod forward;
mod lower;
mod norm;
mod parts;
mod real;
mod slopes;

use anyhow::{Context, Result};
use ndarray::{Array4, ArrayView4};
use stepshift_runtime::format::{Activation, BinaryKind, Mean};
use tch::{Kind, Tensor};

use self::constants::Constants;
pub use self::forward::Mode;
use self::lower::{Alignment, origin};
pub use self::parts::{ConstantParts, LayerParts};
use self::slopes::Slopes;
use super::batches::to_tensor;
use super::float_network::FloatNetwork;
use super::quantize::{Quantizer, Settings, exponent};
use crate::config::QuantizedConfig;
use crate::network::{LayerActivation, LayerOp, Network};
use crate::quantizer_config::{Products, Scheme};

/// Float weights with the steps at which they are used.
#[derive(Debug)]
pub struct QuantizedNetwork {
    network: Network,
    input: Quantizer,
    layers: Vec<QuantizedLayer>,
    scheme: Scheme,
    /// Layers that share a quantizer.
    alignments: Vec<Alignment>,
    /// Of the training forward.
    products: Products,
}

/// Quantizers and constants of one layer.
#[derive(Debug)]
struct QuantizedLayer {
    /// Of what the layer writes; not used where the operator keeps its input's step.
    output: Quantizer,
    output_gradient: Option<Settings>,
    constants: Option<Constants>,
    slopes: Option<Slopes>,
}

/// True for operators whose output has their input's step.
const fn keeps_step(op: &LayerOp, scheme: Scheme) -> bool {
    let of_affine = matches!(
        op,
        LayerOp::AveragePool2d { .. }
            | LayerOp::Mean { axes: Mean::GLOBAL }
            | LayerOp::Concat { .. }
            | LayerOp::Binary(BinaryKind::Minimum | BinaryKind::Maximum)
    );
    op.keeps_exponent() || of_affine && matches!(scheme, Scheme::Affine)
}

impl QuantizedNetwork {
    /// Goes on from a float network's weights; ranges are not known yet.
    ///
    /// # Errors
    /// Names a layer whose quantizers the config asks for and that cannot have them.
    pub fn fold(float: &FloatNetwork, input_exponent: i8, config: &QuantizedConfig) -> Result<Self> {
        build::build(float, input_exponent, config)
    }

    /// The network that this one computes.
    #[must_use]
    pub const fn network(&self) -> &Network {
        &self.network
    }

    /// log2 of the step of the input's codes.
    #[must_use]
    pub fn input_exponent(&self) -> i32 {
        exponent::exponents(self.input.step())[0]
    }

    /// The step of the input's codes.
    #[must_use]
    pub fn input_step(&self) -> f64 {
        self.input.step().double_value(&[0])
    }

    /// Every tensor of the exact forward as real values, the input first. Spec 5.2.
    ///
    /// x  `[N, C, H, W]` f64, input codes times their step
    ///
    /// # Errors
    /// Those of libtorch.
    pub fn exact_forward(&self, x: &Tensor) -> Result<Vec<Tensor>> {
        match self.scheme {
            Scheme::PowerOfTwo => self.forward(x, Kind::Double),
            Scheme::Affine => {
                let codes = self.affine_codes(&(x.to_kind(Kind::Double) / self.input.step().to_kind(Kind::Double)))?;
                Ok(codes.iter().enumerate().map(|(index, codes)| self.values(index, codes)).collect())
            }
        }
    }

    /// Codes of every layer's output by the exact forward, `[N, H, W, C]`.
    ///
    /// images  `[N, H, W, C]` input codes
    ///
    /// # Errors
    /// Those of libtorch.
    pub fn exact_codes<C: Copy + Into<f32>>(&self, images: ArrayView4<'_, C>) -> Result<Vec<Array4<i16>>> {
        let codes = to_tensor(images).to_kind(Kind::Double);
        let tensors = match self.scheme {
            Scheme::Affine => self.affine_codes(&codes)?,
            Scheme::PowerOfTwo => {
                let step = |index| self.output_step(index).to_kind(Kind::Double);
                let values = self.exact_forward(&(codes * step(0)))?;
                values.iter().enumerate().map(|(index, values)| values / step(index)).collect()
            }
        };
        tensors[1..].iter().map(to_array).collect()
    }

    /// Fixes every step from the ranges seen so far.
    pub fn freeze(&mut self) {
        for index in 0..self.layers.len() {
            self.observe_weights(index);
        }
    }

    /// What the optimizer changes, with names; the flag says that weight decay applies.
    #[must_use]
    pub fn parameters(&self) -> Vec<(String, Tensor, bool)> {
        let mut list = Vec::new();
        for (name, constants) in self.with_constants() {
            list.push((format!("{name}.weight"), constants.weight.shallow_clone(), true));
            match &constants.norm {
                None => list.push((format!("{name}.bias"), constants.bias.shallow_clone(), false)),
                Some(norm) => {
                    list.push((format!("{name}.gamma"), norm.gamma.shallow_clone(), false));
                    list.push((format!("{name}.beta"), norm.beta.shallow_clone(), false));
                }
            }
            let learned = constants.quantizer.parameter();
            list.extend(learned.map(|(kind, tensor)| (format!("{name}.weight_{kind}"), tensor, false)));
        }
        for (index, (layer, state)) in self.network.layers.iter().zip(&self.layers).enumerate() {
            list.extend(state.slopes.iter().map(|slopes| (format!("{}.slope", layer.name), slopes.parameter(), false)));
            let learned = state.output.parameter().filter(|_| self.has_own_step(index));
            list.extend(learned.map(|(kind, tensor)| (format!("{}.{kind}", layer.name), tensor, false)));
        }
        list
    }

    /// Everything that a checkpoint holds, with names.
    #[must_use]
    pub fn state(&self) -> Vec<(String, Tensor)> {
        let mut list: Vec<_> = self.parameters().into_iter().map(|(name, tensor, _)| (name, tensor)).collect();
        for (name, constants) in self.with_constants() {
            if let Some(norm) = &constants.norm {
                list.push((format!("{name}.bias"), constants.bias.shallow_clone()));
                list.push((format!("{name}.mean"), norm.mean.shallow_clone()));
                list.push((format!("{name}.variance"), norm.variance.shallow_clone()));
            }
            // Weights' ranges are seen anew at every step, but for learned ones.
            let learned = constants.quantizer.settings().method.is_learned();
            let kept = constants.quantizer.state().into_iter().filter(|(kind, _)| *kind != "range" || learned);
            list.extend(kept.map(|(kind, tensor)| (format!("{name}.weight_{kind}"), tensor)));
            let bias = constants.bias_quantizer.iter().flat_map(Quantizer::state).filter(|(kind, _)| *kind == "step");
            list.extend(bias.map(|(kind, tensor)| (format!("{name}.bias_{kind}"), tensor)));
        }
        for (layer, state) in self.network.layers.iter().zip(&self.layers) {
            let own = state.output.state().into_iter();
            list.extend(own.map(|(kind, tensor)| (format!("{}.{kind}", layer.name), tensor)));
        }
        list
    }

    fn with_constants(&self) -> impl Iterator<Item = (&str, &Constants)> {
        let layers = self.network.layers.iter().zip(&self.layers);
        layers.filter_map(|(layer, state)| Some((layer.name.as_str(), state.constants.as_ref()?)))
    }

    /// A layer's own constants, or those that it repeats.
    fn constants(&self, layer: usize) -> Option<&Constants> {
        self.layers[self.network.weights_of(layer)].constants.as_ref()
    }

    fn slopes(&self, layer: usize) -> Result<&Slopes> {
        self.layers[layer].slopes.as_ref().context("the layer has no slopes")
    }

    fn keeps_step(&self, layer: usize) -> bool {
        keeps_step(&self.network.layers[layer].op, self.scheme)
    }

    /// The quantizer of tensor `index`, passed on by operators that keep their input's step, and shared by layers that are to agree.
    fn quantizer(&self, index: usize) -> &Quantizer {
        let origin = origin(&self.network, self.scheme, &self.alignments, index);
        origin.checked_sub(1).map_or(&self.input, |layer| &self.layers[layer].output)
    }

    /// True where a layer's output has a quantizer of its own.
    fn has_own_step(&self, layer: usize) -> bool {
        origin(&self.network, self.scheme, &self.alignments, layer + 1) == layer + 1
    }

    /// The step of tensor `index`, `[1]`.
    fn output_step(&self, index: usize) -> Tensor {
        self.quantizer(index).step().shallow_clone()
    }

    /// Real values of codes of tensor `index`, f64.
    fn values(&self, index: usize, codes: &Tensor) -> Tensor {
        let quantizer = self.quantizer(index);
        let zero = quantizer.zero().map_or_else(|| codes.zeros_like(), |zero| zero.to_kind(Kind::Double));
        (codes - zero) * quantizer.step().to_kind(Kind::Double)
    }

    /// Bounds of the saturate that ends a layer: those of its width, and of its activation.
    fn bounds(&self, index: usize) -> Activation {
        let codes = self.quantizer(index + 1).settings().codes;
        let narrow = |code: i32| code as i16;
        let full = Activation { min: narrow(codes.lo), max: narrow(codes.hi) };
        let Ok(output) = self.tensor(index + 1) else { return full };
        let own = self.network.layers[index].activation;
        if own == LayerActivation::None {
            return full;
        }
        let clip = own.bounds(output);
        Activation { min: clip.min.max(full.min), max: clip.max.min(full.max) }
    }
}

/// `[N, C, H, W]` codes to `[N, H, W, C]`.
fn to_array(codes: &Tensor) -> Result<Array4<i16>> {
    let codes = codes.permute([0, 2, 3, 1]).contiguous();
    let size = codes.size();
    let extent = |dimension: usize| size[dimension] as usize;
    let flat = Vec::<i16>::try_from(codes.flatten(0, -1).to_kind(Kind::Int16))?;
    Ok(Array4::from_shape_vec((extent(0), extent(1), extent(2), extent(3)), flat)?)
}
