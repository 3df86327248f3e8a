//! What learns in a phase of a training: a network, its optimizer, the average of its weights, its teacher.

use std::collections::HashMap;

use anyhow::{Context, Result, bail};
use tch::{Kind, Tensor};

use super::checkpoint::Phase;
use super::diagnosis::{first_broken_layer, is_lost};
use super::ema::Average;
use super::float_network::{FloatNetwork, restore};
use super::objective::{cross_entropy, distilled};
use super::optimizer::Optimizer;
use super::ptq;
use super::quantized_network::{Mode, QuantizedNetwork};
use crate::config::Config;
use crate::network::Network;

/// Before the names of a teacher's tensors in a checkpoint.
const TEACHER: &str = "teacher.";

/// The network of a phase.
#[derive(Debug)]
pub enum Model {
    /// In floating point, with batch norm.
    Float(FloatNetwork),
    /// Quantized.
    Quantized(QuantizedNetwork),
}

/// A network and all that changes it.
#[derive(Debug)]
pub struct Learner {
    model: Model,
    optimizer: Optimizer,
    average: Option<Average>,
    /// The float network whose outputs the quantized one learns.
    teacher: Option<FloatNetwork>,
}

/// Where a step is.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Place {
    /// Passes of the phase, with the part of the current one.
    pub epoch: f64,
    /// Passes of the phase in all.
    pub epochs: usize,
    /// Whether the quantized network's steps may change.
    pub mode: Mode,
    /// For random rounding.
    pub seed: i64,
}

impl Learner {
    /// The float phase from its first weights.
    #[must_use]
    pub fn float(config: &Config, network: &Network) -> Self {
        let float = FloatNetwork::new(network, config.seed);
        let optimizer = Optimizer::new(config.float.optimizer.clone(), float.parameters());
        let average = config.float.average.map(|decay| Average::new(decay, float.parameters()));
        Self { model: Model::Float(float), optimizer, average, teacher: None }
    }

    /// The quantized phase from a float network.
    ///
    /// # Errors
    /// Names the layer that cannot be quantized as the config asks.
    pub fn quantized(config: &Config, float: FloatNetwork, input_exponent: i8) -> Result<Self> {
        let quantized = QuantizedNetwork::fold(&float, input_exponent, &config.quantized)?;
        let optimizer = Optimizer::new(config.quantized.optimizer.clone(), quantized.parameters());
        let average = config.quantized.average.map(|decay| Average::new(decay, quantized.parameters()));
        let teacher = config.quantized.distillation.is_some().then_some(float);
        Ok(Self { model: Model::Quantized(quantized), optimizer, average, teacher })
    }

    /// What a checkpoint holds of a phase.
    ///
    /// # Errors
    /// Names the tensor that is missing or has another shape.
    pub fn restored(
        config: &Config,
        network: &Network,
        input_exponent: i8,
        phase: Phase,
        tensors: &HashMap<String, Tensor>,
    ) -> Result<Self> {
        let float = Self::float(config, network);
        let learner = match (phase, float.model) {
            (Phase::Quantized | Phase::Finished, Model::Float(float)) => {
                Self::quantized(config, float, input_exponent)?
            }
            (_, model) => Self { model, ..float },
        };
        restore(&learner.state(), |name| tensors.get(name).map(|tensor| tensor.to_kind(Kind::Float)))?;
        Ok(learner)
    }

    /// The network.
    #[must_use]
    pub const fn model(&self) -> &Model {
        &self.model
    }

    /// Everything that a checkpoint holds, with names.
    #[must_use]
    pub fn state(&self) -> Vec<(String, Tensor)> {
        let mut tensors = match &self.model {
            Model::Float(network) => network.state(),
            Model::Quantized(network) => network.state(),
        };
        tensors.extend(self.optimizer.state());
        tensors.extend(self.average.iter().flat_map(Average::state));
        let teacher = self.teacher.iter().flat_map(FloatNetwork::state);
        tensors.extend(teacher.map(|(name, tensor)| (format!("{TEACHER}{name}"), tensor)));
        tensors
    }

    /// One step of the optimizer; the loss.
    ///
    /// x        `[N, C, H, W]`, input codes times their step
    /// of_loss  the loss of a batch's labels by that of labels `[N]`
    ///
    /// # Errors
    /// Where the training diverged, with the layer's name.
    pub fn step(
        &mut self,
        config: &Config,
        x: &Tensor,
        of_loss: impl FnOnce(&dyn Fn(&Tensor) -> Tensor) -> Tensor,
        place: Place,
    ) -> Result<f64> {
        tch::manual_seed(place.seed);
        let (logits, smoothing) = match &mut self.model {
            Model::Float(network) => (network.forward(x, true), config.float.label_smoothing),
            Model::Quantized(network) => (network.train_forward(x, place.mode)?, config.quantized.label_smoothing),
        };
        let mut loss = of_loss(&|labels| cross_entropy(&logits, labels, smoothing));
        if let (Some(teacher), Some(distillation)) = (&self.teacher, config.quantized.distillation) {
            let outputs = tch::no_grad(|| teacher.forward(x, false));
            loss = distilled(&loss, &logits, &outputs, distillation);
        }
        let value = loss.double_value(&[]);
        if is_lost(value, logits.size()[1] as usize) {
            bail!("the loss became {value}: {}", self.diagnosis(x)?);
        }
        self.optimizer.zero_gradients();
        loss.backward();
        self.optimizer.step(self.learning_rate(place));
        self.average.iter_mut().for_each(Average::update);
        Ok(value)
    }

    /// The optimizer's rate at a step.
    #[must_use]
    pub fn learning_rate(&self, place: Place) -> f64 {
        self.optimizer.config().rate(place.epoch, place.epochs)
    }

    /// The layer that a diverged training broke in.
    fn diagnosis(&self, x: &Tensor) -> Result<String> {
        if let Some(parameter) = self.optimizer.broken_gradient() {
            return Ok(format!("the gradient of {parameter} is not finite"));
        }
        Ok(match &self.model {
            Model::Float(network) => {
                let tensors = tch::no_grad(|| network.tensors(x));
                first_broken_layer(network.network(), &tensors)
            }
            Model::Quantized(network) => first_broken_layer(network.network(), &network.real_forward(x)?),
        })
    }

    /// Exchanges weights and their average.
    pub fn use_average(&mut self) {
        self.average.iter_mut().for_each(Average::exchange);
    }

    /// Quantizes without training, by some inputs.
    ///
    /// # Errors
    /// Those of libtorch.
    pub fn calibrate(&mut self, config: &Config, batches: &[Tensor]) -> Result<()> {
        match (&mut self.model, &config.quantized.calibration) {
            (Model::Quantized(network), Some(calibration)) => ptq::quantize(network, batches, calibration, |_| ()),
            _ => Ok(()),
        }
    }

    /// Fixes every step of a quantized network, which is given back.
    ///
    /// # Errors
    /// Where the network is not quantized yet.
    pub fn freeze(&mut self) -> Result<&QuantizedNetwork> {
        match &mut self.model {
            Model::Quantized(network) => {
                network.freeze();
                Ok(network)
            }
            Model::Float(_) => bail!("the network is not quantized yet"),
        }
    }

    /// Outputs without learning, `[N, classes]`.
    ///
    /// # Errors
    /// Those of libtorch.
    pub fn outputs(&self, x: &Tensor) -> Result<Tensor> {
        tch::no_grad(|| match &self.model {
            Model::Float(network) => Ok(network.forward(x, false)),
            Model::Quantized(network) => {
                network.fast_forward(x)?.pop().map(|output| output.flatten(1, -1)).context("there are no layers")
            }
        })
    }

    /// The network alone.
    #[must_use]
    pub fn into_model(self) -> Model {
        self.model
    }
}
