//! How tensors are quantized, as a config words it. `docs/config.md` documents every key.

use std::fmt;

use anyhow::{Result, ensure};
use serde::{Deserialize, Deserializer, Serialize};

use crate::config_words::or_expected;

/// Least and greatest number of bits of a code.
pub const BITS: std::ops::RangeInclusive<u8> = 2..=16;

/// How the tensors of one kind, or one tensor, are quantized; what is left out is as it is one level above.
#[derive(Debug, Clone, Copy, Default, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct QuantizerConfig {
    /// Bits of a code, 2 to 16.
    #[serde(alias = "bitwidth", default, deserialize_with = "bits")]
    pub bits: Option<u8>,
    /// From a tensor to the range that its codes cover.
    #[serde(alias = "range_method")]
    pub range: Option<RangeMethod>,
    /// Which values share a step.
    #[serde(alias = "group", default, deserialize_with = "granularity")]
    pub granularity: Option<Granularity>,
    /// Round up with the probability of the fraction, while training.
    pub stochastic: Option<bool>,
    /// Share of the values below the range of the method `percentile`, in percent.
    pub percentile: Option<f64>,
    /// Codes from 0 up, for activations behind a ReLU.
    pub unsigned: Option<bool>,
}

fn bits<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<u8>, D::Error> {
    or_expected(deserializer, "an integer, 2 to 16")
}

fn granularity<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Granularity>, D::Error> {
    or_expected(deserializer, r#""tensor", "channel", "input_channel" or { channels = N }, N from 1 to 65535"#)
}

/// From a tensor to the range that its codes cover.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum RangeMethod {
    /// The greatest magnitude.
    #[default]
    #[serde(alias = "RANGE_MAX")]
    Max,
    /// The mean's magnitude and three standard deviations.
    #[serde(rename = "3sigma", alias = "RANGE_3SIGMA")]
    ThreeSigma,
    /// The magnitude that a tenth of the values exceed.
    #[serde(rename = "ten_percent", alias = "RANGE_MAX_TENPERCENT")]
    TenPercent,
    /// Of the greatest magnitude, its half and its quarter, the one with the least squared error.
    #[serde(alias = "RANGE_SWEEP")]
    Sweep,
    /// The magnitude that a share of the values stay below.
    Percentile,
    /// The range with the least squared error.
    Mse,
    /// The range whose quantized histogram is nearest to the real one (Kullback, Leibler).
    Kl,
    /// A threshold that training learns, to a power of two (Jain et al. 2020, trained quantization thresholds).
    Tqt,
    /// A real step that training learns (Esser et al. 2020, learned step size quantization); affine scheme alone.
    Lsq,
}

impl RangeMethod {
    /// Every method.
    pub const ALL: [Self; 9] = [
        Self::Max,
        Self::ThreeSigma,
        Self::TenPercent,
        Self::Sweep,
        Self::Percentile,
        Self::Mse,
        Self::Kl,
        Self::Tqt,
        Self::Lsq,
    ];

    /// True where training changes the range by its gradient.
    #[must_use]
    pub const fn is_learned(self) -> bool {
        matches!(self, Self::Tqt | Self::Lsq)
    }
}

/// Which values of a tensor share a step.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Granularity {
    /// All of them.
    #[serde(alias = "none")]
    #[default]
    Tensor,
    /// Those of an output channel, the first dimension of weights.
    #[serde(alias = "batch")]
    Channel,
    /// Those of an input channel, the second dimension of weights.
    InputChannel,
    /// Those of so many output channels, one behind the other.
    Channels(u16),
}

impl fmt::Display for Granularity {
    /// As a config words it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tensor => write!(f, "\"tensor\""),
            Self::Channel => write!(f, "\"channel\""),
            Self::InputChannel => write!(f, "\"input_channel\""),
            Self::Channels(count) => write!(f, "{{ channels = {count} }}"),
        }
    }
}

/// How steps relate to real values.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Scheme {
    /// Steps are powers of two: a layer ends in a shift.
    #[default]
    PowerOfTwo,
    /// Real steps, and a code of 0 that is not 0: TensorFlow Lite's, a layer ends in a multiplication. Spec 1.5, 3.4.
    Affine,
}

/// How factors of products may be rounded inside an operator of f32, in layers whose sums stay exact. Spec 5.1.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
#[repr(i32)]
pub enum Products {
    /// Not at all.
    #[default]
    F32 = 0,
    /// To 11 significant bits, on tensor cores.
    Tf32 = 1,
    /// To 8 significant bits, by instructions of processors that have them; TF32 on a GPU.
    Bf16 = 2,
}

impl Products {
    /// The greatest magnitude up to which every integer is a factor of its own.
    #[must_use]
    pub const fn greatest_code(self) -> i64 {
        match self {
            Self::F32 => 1 << 24,
            Self::Tf32 => 1 << 11,
            Self::Bf16 => 1 << 8,
        }
    }
}

/// Gradients that are quantized on their way back; those left out are not.
#[derive(Debug, Clone, Copy, Default, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct GradientConfig {
    /// Of weights.
    pub weights: Option<QuantizerConfig>,
    /// Of biases.
    pub biases: Option<QuantizerConfig>,
    /// Of what layers write.
    pub activations: Option<QuantizerConfig>,
}

impl QuantizerConfig {
    /// These keys, and those of `base` where there are none.
    #[must_use]
    pub fn or(self, base: Self) -> Self {
        Self {
            bits: self.bits.or(base.bits),
            range: self.range.or(base.range),
            granularity: self.granularity.or(base.granularity),
            stochastic: self.stochastic.or(base.stochastic),
            percentile: self.percentile.or(base.percentile),
            unsigned: self.unsigned.or(base.unsigned),
        }
    }

    /// Checks every value.
    ///
    /// # Errors
    /// Names the key under `place`, its value and what would be right.
    pub fn check(&self, place: &str, scheme: Scheme) -> Result<()> {
        if let Some(bits) = self.bits {
            ensure!(BITS.contains(&bits), "{place}.bits is {bits}, it must be 2 to 16");
        }
        if let Some(percentile) = self.percentile {
            let share = percentile > 0.0 && percentile <= 100.0;
            ensure!(share, "{place}.percentile is {percentile}, it must be above 0 and at most 100");
        }
        if let Some(Granularity::Channels(count)) = self.granularity {
            ensure!(count > 0, "{place}.granularity.channels is 0, it must be at least 1");
        }
        match (self.range, scheme) {
            (Some(RangeMethod::Lsq), Scheme::PowerOfTwo) => {
                anyhow::bail!("{place}.range is \"lsq\", whose steps are real: quantized.scheme must be \"affine\"")
            }
            (Some(RangeMethod::Tqt), Scheme::Affine) => {
                anyhow::bail!(
                    "{place}.range is \"tqt\", whose steps are powers of two: in the affine scheme use \"lsq\""
                )
            }
            _ => Ok(()),
        }
    }
}
