//! Optimizers and how their rate goes, as a config words them. `docs/config.md` documents every key.

use anyhow::{Result, ensure};
use serde::{Deserialize, Deserializer, Serialize};

use crate::config_words::or_expected;

/// An optimizer and its rate.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct OptimizerConfig {
    /// Which one.
    #[serde(default)]
    pub kind: OptimizerKind,
    /// Greatest learning rate.
    pub learning_rate: f64,
    /// Momentum, or share of the past in Adam's first moment, 0 to 1.
    #[serde(default = "default_momentum")]
    pub momentum: f64,
    /// Share of the past in Adam's second moment, 0 to 1; see [`Self::second_momentum`].
    pub second_momentum: Option<f64>,
    /// Nesterov's form of SGD's momentum; see [`Self::nesterov`].
    pub nesterov: Option<bool>,
    /// L2 penalty on weights; of AdamW, decay by the rate.
    #[serde(default)]
    pub weight_decay: f64,
    /// Epochs of linear warm-up.
    #[serde(default)]
    pub warmup_epochs: f64,
    /// How the rate falls.
    #[serde(default, deserialize_with = "schedule")]
    pub schedule: Schedule,
}

/// The optimizers.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum OptimizerKind {
    /// Stochastic gradient descent with momentum.
    #[default]
    Sgd,
    /// Adam with weight decay apart from the gradient.
    AdamW,
}

/// How a rate falls behind the warm-up.
#[derive(Debug, Clone, Default, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Schedule {
    /// Along a cosine to zero.
    #[default]
    Cosine,
    /// Not at all.
    Constant,
    /// At once, at some epochs.
    Steps {
        /// Epochs behind which it falls.
        epochs: Vec<f64>,
        /// What it is multiplied by.
        factor: f64,
    },
}

const fn default_momentum() -> f64 {
    0.9
}

/// No default of serde's: an optimizer refuses the keys that it does not read.
const DEFAULT_SECOND_MOMENTUM: f64 = 0.999;
const DEFAULT_NESTEROV: bool = true;

fn schedule<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Schedule, D::Error> {
    or_expected(deserializer, r#""cosine", "constant" or { steps = { epochs = [..], factor = .. } }"#)
}

impl OptimizerConfig {
    /// AdamW at a rate, without weight decay.
    #[must_use]
    pub const fn adam_w(learning_rate: f64) -> Self {
        Self {
            kind: OptimizerKind::AdamW,
            learning_rate,
            momentum: default_momentum(),
            second_momentum: None,
            nesterov: None,
            weight_decay: 0.0,
            warmup_epochs: 0.0,
            schedule: Schedule::Constant,
        }
    }

    /// Share of the past in Adam's second moment, 0.999 where left out.
    #[must_use]
    pub fn second_momentum(&self) -> f64 {
        self.second_momentum.unwrap_or(DEFAULT_SECOND_MOMENTUM)
    }

    /// Whether SGD's momentum has Nesterov's form, as it has where left out.
    #[must_use]
    pub fn nesterov(&self) -> bool {
        self.nesterov.unwrap_or(DEFAULT_NESTEROV)
    }

    /// The learning rate at a place in the training, in epochs: linear warm-up, then the schedule.
    #[must_use]
    pub fn rate(&self, epoch: f64, epochs: usize) -> f64 {
        if epoch < self.warmup_epochs {
            return self.learning_rate * epoch / self.warmup_epochs;
        }
        let share = match &self.schedule {
            Schedule::Cosine => {
                let progress = ((epoch - self.warmup_epochs) / (epochs as f64 - self.warmup_epochs)).clamp(0.0, 1.0);
                0.5 * (1.0 + (std::f64::consts::PI * progress).cos())
            }
            Schedule::Constant => 1.0,
            Schedule::Steps { epochs, factor } => {
                let passed = epochs.iter().filter(|place| epoch >= **place).count();
                factor.powi(i32::try_from(passed).unwrap_or(i32::MAX))
            }
        };
        self.learning_rate * share
    }

    /// Checks every value.
    ///
    /// phase   `float` or `quantized`
    /// epochs  the phase's
    ///
    /// # Errors
    /// Names the key under the phase, its value and what would be right.
    pub fn check(&self, phase: &str, epochs: usize) -> Result<()> {
        let place = format!("{phase}.optimizer");
        let Self { learning_rate, weight_decay, warmup_epochs, .. } = *self;
        let positive = learning_rate > 0.0 && learning_rate.is_finite();
        ensure!(positive, "{place}.learning_rate is {learning_rate}, it must be positive");
        let (adam, second) = (self.kind == OptimizerKind::AdamW, self.second_momentum);
        ensure!(!adam || self.nesterov.is_none(), "{place}.nesterov: adamw does not read this key");
        ensure!(adam || second.is_none(), "{place}.second_momentum: sgd does not read this key");
        for (key, value) in [("momentum", self.momentum), ("second_momentum", second.unwrap_or_default())] {
            ensure!((0.0..1.0).contains(&value), "{place}.{key} is {value}, it must be at least 0 and below 1");
        }
        let is_finite = weight_decay >= 0.0 && weight_decay.is_finite();
        ensure!(is_finite, "{place}.weight_decay is {weight_decay}, it must be at least 0 and finite");
        let within = (0.0..=epochs as f64).contains(&warmup_epochs);
        ensure!(within, "{place}.warmup_epochs is {warmup_epochs}, it must be 0 to {phase}.epochs, {epochs}");
        if let Schedule::Steps { epochs: falls_at, factor } = &self.schedule {
            let falls = *factor > 0.0 && *factor <= 1.0;
            ensure!(falls, "{place}.schedule.steps.factor is {factor}, it must be above 0 and at most 1");
            let within = falls_at.is_sorted() && falls_at.iter().all(|epoch| *epoch < epochs as f64);
            ensure!(
                within,
                "{place}.schedule.steps.epochs is {falls_at:?}, it must rise and be below {phase}.epochs, {epochs}"
            );
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rates(text: &str, places: &[f64]) -> Vec<f64> {
        let config: OptimizerConfig = toml::from_str(text).unwrap();
        config.check("float", 10).unwrap();
        places.iter().map(|place| config.rate(*place, 10)).collect()
    }

    #[test]
    fn rates_rise_over_the_warm_up_and_fall_as_the_schedule_says() {
        let cosine = rates("learning_rate = 2.0\nwarmup_epochs = 2", &[0.0, 1.0, 2.0, 6.0, 10.0]);
        let expected = [0.0, 1.0, 2.0, 1.0, 0.0];
        assert!(cosine.iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-12), "{cosine:?}");
        let steps = "learning_rate = 1.0\nschedule = { steps = { epochs = [4, 8], factor = 0.5 } }";
        assert_eq!(rates(steps, &[0.0, 3.9, 4.0, 7.9, 8.0, 10.0]), [1.0, 1.0, 0.5, 0.5, 0.25, 0.25]);
        assert_eq!(rates("learning_rate = 1.0\nschedule = 'constant'", &[0.0, 9.9]), [1.0, 1.0]);
    }

    #[test]
    fn the_guide_states_the_defaults() {
        let config: OptimizerConfig = toml::from_str("learning_rate = 1.0").unwrap();
        let guide = include_str!("../../docs/config.md");
        let stated = |key: &str| {
            let row = guide.lines().find(|line| line.starts_with(&format!("| `{key}` |"))).unwrap();
            row.split(" | ").nth(2).unwrap()
        };
        assert_eq!(stated("momentum"), config.momentum.to_string());
        assert_eq!(stated("second_momentum"), config.second_momentum().to_string());
        assert_eq!(stated("nesterov"), config.nesterov().to_string());
    }

    #[test]
    fn schedules_that_cannot_be_are_named() {
        let config: OptimizerConfig =
            toml::from_str("learning_rate = 1.0\nschedule = { steps = { epochs = [8, 4], factor = 0.1 } }").unwrap();
        let error = config.check("float", 10).unwrap_err().to_string();
        assert_eq!(
            error,
            "float.optimizer.schedule.steps.epochs is [8.0, 4.0], it must rise and be below float.epochs, 10"
        );
    }
}
