//! SGD with Nesterov momentum, whose state is ours to checkpoint.

use tch::Tensor;

use crate::config::OptimizerConfig;

/// Parameters with their momentum.
#[derive(Debug)]
pub struct Sgd {
    config: OptimizerConfig,
    parameters: Vec<Parameter>,
}

#[derive(Debug)]
struct Parameter {
    name: String,
    value: Tensor,
    velocity: Tensor,
    decays: bool,
}

impl Sgd {
    /// An optimizer of named parameters; weight decay applies to those that say so.
    #[must_use]
    pub fn new(config: OptimizerConfig, parameters: Vec<(String, Tensor, bool)>) -> Self {
        let parameter = |(name, value, decays): (String, Tensor, bool)| {
            let velocity = value.zeros_like().set_requires_grad(false);
            Parameter { name, value, velocity, decays }
        };
        Self { config, parameters: parameters.into_iter().map(parameter).collect() }
    }

    /// The learning rate at a place in the training, in epochs: linear warm-up, then a cosine to zero.
    #[must_use]
    pub fn rate(&self, epoch: f64, epochs: usize) -> f64 {
        let OptimizerConfig { learning_rate, warmup_epochs, .. } = self.config;
        if epoch < warmup_epochs {
            return learning_rate * epoch / warmup_epochs;
        }
        let progress = ((epoch - warmup_epochs) / (epochs as f64 - warmup_epochs)).clamp(0.0, 1.0);
        learning_rate * 0.5 * (1.0 + (std::f64::consts::PI * progress).cos())
    }

    /// Sets every gradient to zero.
    pub fn zero_gradients(&mut self) {
        for parameter in &mut self.parameters {
            parameter.value.zero_grad();
        }
    }

    /// One step (Sutskever et al. 2013, in the form that frameworks use): `v = momentum * v + g`, `p -= rate * (g + momentum * v)`.
    pub fn step(&mut self, rate: f64) {
        let OptimizerConfig { momentum, weight_decay, .. } = self.config;
        tch::no_grad(|| {
            for parameter in &mut self.parameters {
                let decay = if parameter.decays { weight_decay } else { 0.0 };
                let gradient = parameter.value.grad() + &parameter.value * decay;
                let velocity = &parameter.velocity * momentum + &gradient;
                parameter.velocity.copy_(&velocity);
                let change = (gradient + velocity * momentum) * rate;
                let _ = parameter.value.g_sub_(&change);
            }
        });
    }

    /// The momentum, with names.
    #[must_use]
    pub fn state(&self) -> Vec<(String, Tensor)> {
        let named =
            |parameter: &Parameter| (format!("momentum.{}", parameter.name), parameter.velocity.shallow_clone());
        self.parameters.iter().map(named).collect()
    }
}
