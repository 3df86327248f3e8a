use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};
use tch::{Kind, TchError, Tensor};

use super::config::{FixConfig, FixMethod};
use crate::torch::quantize::Quantizer;
use crate::torch::shim::on_gradient;

/// What a tensor is to its module.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[expect(missing_docs, reason = "the names are nics_fix's")]
pub enum TensorKind {
    Weight,
    Bias,
    RunningMean,
    RunningVar,
    Activation,
}

impl TensorKind {
    /// Its name, the last part of a tensor's.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Weight => "weight",
            Self::Bias => "bias",
            Self::RunningMean => "running_mean",
            Self::RunningVar => "running_var",
            Self::Activation => "activation",
        }
    }
}

/// What quantizes one tensor, and its gradient. Clones share their scale: replicas quantize alike.
#[derive(Debug, Clone)]
pub struct Fix {
    name: Arc<str>,
    data: Arc<Mutex<Slot>>,
    grad: Arc<Mutex<Slot>>,
}

/// A config, and the quantizer that keeps its scale.
#[derive(Debug)]
pub(super) struct Slot {
    kind: TensorKind,
    config: FixConfig,
    stored: Option<Quantizer>,
}

impl Fix {
    pub(super) fn new(name: &str, kind: TensorKind) -> Self {
        let slot = || Arc::new(Mutex::new(Slot { kind, config: FixConfig::default(), stored: None }));
        Self { name: name.into(), data: slot(), grad: slot() }
    }

    /// Its name, `path.kind`.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The tensor as its config has it; its gradient comes back as the gradient's config has it.
    ///
    /// # Errors
    /// Where the config has no usable scale.
    pub fn forward(&self, x: &Tensor) -> Result<Tensor> {
        let quantized = self.slot(false).apply(x).with_context(|| self.name.to_string())?;
        if self.slot(true).config.method == FixMethod::None {
            return Ok(quantized);
        }
        let grad = Arc::clone(&self.grad);
        let replace =
            move |gradient: &Tensor| locked(&grad).apply(gradient).map_err(|error| TchError::Torch(error.to_string()));
        Ok(on_gradient(&quantized, replace)?)
    }

    /// The config, with the scale that is stored.
    #[must_use]
    pub fn config(&self, grad: bool) -> FixConfig {
        self.slot(grad).current()
    }

    /// Another config.
    ///
    /// # Errors
    /// Names the tensor and the value that cannot be.
    pub fn set_config(&self, config: FixConfig, grad: bool) -> Result<()> {
        config.check(&self.name)?;
        self.slot(grad).set(config);
        Ok(())
    }

    pub(super) fn slot(&self, grad: bool) -> MutexGuard<'_, Slot> {
        locked(if grad { &self.grad } else { &self.data })
    }
}

/// A panic elsewhere leaves a config as it was: it can be used.
fn locked(slot: &Mutex<Slot>) -> MutexGuard<'_, Slot> {
    slot.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Slot {
    pub(super) fn apply(&mut self, x: &Tensor) -> Result<Tensor> {
        match self.config.method {
            FixMethod::None => Ok(x.shallow_clone()),
            FixMethod::Auto => {
                let settings = self.config.settings(self.kind);
                let mut own =
                    Quantizer::new(crate::torch::quantize::Settings { momentum: 0.0, ..settings }, &x.size())?;
                own.observe(x);
                self.remember(x)?;
                own.quantize(x, true)
            }
            FixMethod::Fixed => self.stored.as_ref().context("FIX_FIXED without a scale")?.quantize(x, true),
        }
    }

    /// The moving average of what is seen.
    fn remember(&mut self, x: &Tensor) -> Result<()> {
        let settings = self.config.settings(self.kind);
        let fits = self.stored.as_ref().is_some_and(|stored| *stored.settings() == settings && !stored.is_fixed());
        if !fits {
            self.stored = Some(Quantizer::new(settings, &x.size())?);
        }
        self.stored.iter_mut().for_each(|stored| stored.observe(x));
        Ok(())
    }

    pub(super) fn current(&self) -> FixConfig {
        let Some(stored) = &self.stored else { return self.config.clone() };
        let values = |tensor: &Tensor| Vec::<f64>::try_from(tensor.detach().to_kind(Kind::Double)).unwrap_or_default();
        let reach = self.config.steps_in_a_scale();
        let zeros = stored.zero().map(|zero| values(zero).into_iter().map(|zero| zero as i32).collect());
        FixConfig {
            scale: values(stored.step()).into_iter().map(|step| step * reach).collect(),
            zero_point: self.config.zero_point.as_ref().and(zeros).or_else(|| self.config.zero_point.clone()),
            ..self.config.clone()
        }
    }

    /// A config with a scale brings it along; without one, the stored one stays.
    pub(super) fn set(&mut self, config: FixConfig) {
        if !config.scale.is_empty() {
            let steps: Vec<f32> = config.scale.iter().map(|scale| (scale / config.steps_in_a_scale()) as f32).collect();
            let zeros = config.zero_point.as_ref().filter(|zeros| zeros.len() == steps.len());
            let zeros =
                zeros.map(|zeros| Tensor::from_slice(&zeros.iter().map(|zero| *zero as f32).collect::<Vec<_>>()));
            self.stored = Some(Quantizer::with_step(config.settings(self.kind), Tensor::from_slice(&steps), zeros));
        }
        self.config = config;
    }

    /// Config and scale, which are as by default afterwards.
    pub(super) fn take(&mut self) -> Self {
        let kind = self.kind;
        std::mem::replace(self, Self { kind, config: FixConfig::default(), stored: None })
    }

    /// Another method by the scale that is stored.
    pub(super) fn set_method(&mut self, method: FixMethod) {
        self.config.method = method;
    }

    /// What a parameter becomes, without storing anything.
    pub(super) fn value(&self, x: &Tensor) -> Result<Tensor> {
        match (self.config.method, &self.stored) {
            (FixMethod::None, _) => Ok(x.shallow_clone()),
            (FixMethod::Fixed, Some(stored)) => stored.quantize(x, false),
            _ => {
                let mut own = Quantizer::new(self.config.settings(self.kind), &x.size())?;
                own.observe(x);
                own.quantize(x, false)
            }
        }
    }
}
