//! SGD with momentum and AdamW, whose state is ours to checkpoint.

use tch::{Kind, Tensor};

use crate::optimizer_config::{OptimizerConfig, OptimizerKind};

/// Added to the root of Adam's second moment.
const EPSILON: f64 = 1e-8;

/// Parameters with their moments.
#[derive(Debug)]
pub struct Optimizer {
    config: OptimizerConfig,
    parameters: Vec<Parameter>,
    /// Steps made, `[1]`.
    steps: Tensor,
}

#[derive(Debug)]
struct Parameter {
    name: String,
    value: Tensor,
    /// Momentum, or Adam's first moment.
    first: Tensor,
    /// Adam's second moment.
    second: Option<Tensor>,
    decays: bool,
}

impl Optimizer {
    /// An optimizer of named parameters; weight decay applies to those that say so.
    #[must_use]
    pub fn new(config: OptimizerConfig, parameters: Vec<(String, Tensor, bool)>) -> Self {
        let adam = config.kind == OptimizerKind::AdamW;
        let parameter = |(name, value, decays): (String, Tensor, bool)| {
            let zeros = || value.zeros_like().set_requires_grad(false);
            Parameter { first: zeros(), second: adam.then(zeros), name, value, decays }
        };
        let device = parameters.first().map_or(tch::Device::Cpu, |(_, value, _)| value.device());
        let steps = Tensor::zeros([1], (Kind::Float, device));
        Self { config, parameters: parameters.into_iter().map(parameter).collect(), steps }
    }

    /// The settings.
    #[must_use]
    pub const fn config(&self) -> &OptimizerConfig {
        &self.config
    }

    /// Sets every gradient to zero.
    pub fn zero_gradients(&mut self) {
        for parameter in &mut self.parameters {
            parameter.value.zero_grad();
        }
    }

    /// The first parameter with a gradient that is not a number.
    #[must_use]
    pub fn broken_gradient(&self) -> Option<&str> {
        let broken = |parameter: &&Parameter| {
            let gradient = parameter.value.grad();
            gradient.defined() && !gradient.isfinite().all().int64_value(&[]).eq(&1)
        };
        self.parameters.iter().find(broken).map(|parameter| parameter.name.as_str())
    }

    /// One step; parameters without a gradient stay.
    pub fn step(&mut self, rate: f64) {
        tch::no_grad(|| {
            let _ = self.steps.g_add_scalar_(1.0);
            let steps = self.steps.shallow_clone();
            for parameter in self.parameters.iter_mut().filter(|parameter| parameter.value.grad().defined()) {
                match self.config.kind {
                    OptimizerKind::Sgd => parameter.sgd(&self.config, rate),
                    OptimizerKind::AdamW => parameter.adam_w(&self.config, rate, &steps),
                }
            }
        });
    }

    /// The moments, with names.
    #[must_use]
    pub fn state(&self) -> Vec<(String, Tensor)> {
        let mut list = Vec::new();
        for Parameter { name, first, second, .. } in &self.parameters {
            list.push((format!("momentum.{name}"), first.shallow_clone()));
            list.extend(second.as_ref().map(|second| (format!("second_moment.{name}"), second.shallow_clone())));
        }
        if self.config.kind == OptimizerKind::AdamW {
            list.push(("optimizer.steps".to_owned(), self.steps.shallow_clone()));
        }
        list
    }
}

impl Parameter {
    /// Sutskever et al. 2013, in the form that frameworks use: `v = momentum * v + g`, then `p -= rate * v`, with Nesterov's
    /// `p -= rate * (g + momentum * v)`.
    fn sgd(&mut self, config: &OptimizerConfig, rate: f64) {
        let decay = if self.decays { config.weight_decay } else { 0.0 };
        let gradient = self.value.grad() + &self.value * decay;
        let velocity = &self.first * config.momentum + &gradient;
        self.first.copy_(&velocity);
        let change = if config.nesterov() { gradient + velocity * config.momentum } else { velocity };
        let _ = self.value.g_sub_(&(change * rate));
    }

    /// Loshchilov, Hutter 2019, algorithm 2.
    fn adam_w(&mut self, config: &OptimizerConfig, rate: f64, steps: &Tensor) {
        let Some(second) = &mut self.second else { return };
        let (beta1, beta2) = (config.momentum, config.second_momentum());
        let gradient = self.value.grad();
        let first = &self.first * beta1 + &gradient * (1.0 - beta1);
        let squares = &*second * beta2 + gradient.square() * (1.0 - beta2);
        self.first.copy_(&first);
        second.copy_(&squares);
        let unbiased = |moment: Tensor, beta: f64| moment / (-(steps * beta.ln()).exp() + 1.0);
        let change = unbiased(first, beta1) / (unbiased(squares, beta2).sqrt() + EPSILON);
        let decay = if self.decays { config.weight_decay } else { 0.0 };
        let _ = self.value.g_sub_(&((change + &self.value * decay) * rate));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(kind: &str, more: &str) -> OptimizerConfig {
        toml::from_str(&format!("kind = '{kind}'\nlearning_rate = 1.0\n{more}")).unwrap()
    }

    /// Values of one parameter that begins at 1 over steps with a gradient of 0.5.
    fn run(config: OptimizerConfig, steps: usize) -> Vec<f64> {
        let value = Tensor::from_slice(&[1_f64]).set_requires_grad(true);
        let mut optimizer = Optimizer::new(config, vec![("w".to_owned(), value.shallow_clone(), true)]);
        let mut values = Vec::new();
        for _ in 0..steps {
            optimizer.zero_gradients();
            (&value * 0.5).sum(Kind::Double).backward();
            optimizer.step(0.1);
            values.push(value.double_value(&[0]));
        }
        values
    }

    fn close(values: &[f64], expected: &[f64]) {
        assert!(values.iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-6), "{values:?} {expected:?}");
    }

    #[test]
    fn steps_are_those_of_the_papers_by_hand() {
        // v: 0.5, 0.95; p -= 0.1 * v.
        close(&run(config("sgd", "momentum = 0.9\nnesterov = false"), 2), &[0.95, 0.855]);
        // p -= 0.1 * (g + 0.9 * v).
        close(&run(config("sgd", "momentum = 0.9"), 2), &[0.905, 0.7695]);
        close(&run(config("sgd", "momentum = 0.0\nweight_decay = 0.2"), 1), &[0.93]);
        // A constant gradient moves Adam by its rate, and decay by rate * decay * p.
        close(&run(config("adamw", ""), 3), &[0.9, 0.8, 0.7]);
        close(&run(config("adamw", "weight_decay = 0.5"), 1), &[0.85]);
    }

    #[test]
    fn a_gradient_that_is_not_a_number_is_named() {
        let value = Tensor::from_slice(&[0_f32]).set_requires_grad(true);
        let optimizer =
            Optimizer::new(config("sgd", ""), vec![("conv.weight".to_owned(), value.shallow_clone(), true)]);
        assert_eq!(optimizer.broken_gradient(), None);
        (value.log() * 0.0).sum(Kind::Float).backward();
        assert_eq!(optimizer.broken_gradient(), Some("conv.weight"));
    }
}
