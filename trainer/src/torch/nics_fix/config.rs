use std::fmt;

use anyhow::{Result, ensure};
use serde::{Deserialize, Serialize};

use super::fix::TensorKind;
use crate::quantizer_config::{BITS, Granularity, QuantizerConfig, RangeMethod, Scheme};
use crate::torch::quantize::{CodeRange, Settings, Steps};

/// Whether and by which scale a tensor is quantized.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum FixMethod {
    /// It stays as it is.
    #[default]
    #[serde(rename = "FIX_NONE")]
    None,
    /// By the range of the values at hand; their moving average is stored.
    #[serde(rename = "FIX_AUTO")]
    Auto,
    /// By the stored scale.
    #[serde(rename = "FIX_FIXED")]
    Fixed,
}

/// Which values share a scale.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FixGroup {
    /// All.
    #[default]
    None,
    /// Those of one index of the first dimension: an output channel of a weight.
    Batch,
    /// Those of one index of the second dimension.
    Channel,
}

/// How one tensor is quantized, in the words of nics_fix_pt.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct FixConfig {
    /// Whether, and by which scale.
    pub method: FixMethod,
    /// What the codes reach up to, one number or one for each group: `2^k` unless `float_scale`. Empty before anything was seen.
    pub scale: Vec<f64>,
    /// Bits of a code, 2 to 16.
    pub bitwidth: u8,
    /// From values to the scale; the greatest magnitude by default.
    pub range_method: RangeMethod,
    /// Stochastic rounding.
    pub stochastic: bool,
    /// Scales that are not powers of two.
    pub float_scale: bool,
    /// Codes of 0, as many as scales, for ranges that do not lie around 0; `None` for those that do.
    pub zero_point: Option<Vec<i32>>,
    /// Which values share a scale.
    pub group: FixGroup,
    /// Share of the past in the moving average that [`FixMethod::Auto`] stores of activations.
    pub momentum: f64,
}

impl Default for FixConfig {
    fn default() -> Self {
        Self {
            method: FixMethod::None,
            scale: Vec::new(),
            bitwidth: 8,
            range_method: RangeMethod::Max,
            stochastic: false,
            float_scale: false,
            zero_point: None,
            group: FixGroup::None,
            momentum: 0.9,
        }
    }
}

impl FixConfig {
    /// 8 bits by the range of the values at hand.
    #[must_use]
    pub fn auto(bitwidth: u8) -> Self {
        Self { method: FixMethod::Auto, bitwidth, ..Self::default() }
    }

    /// A power of two as the range, by hand.
    #[must_use]
    pub fn fixed(bitwidth: u8, scale: f64) -> Self {
        Self { method: FixMethod::Fixed, scale: vec![scale], bitwidth, ..Self::default() }
    }

    /// Checks every value for a tensor of a name.
    ///
    /// # Errors
    /// Names the tensor, the value and what would be right.
    pub fn check(&self, name: &str) -> Result<()> {
        let Self { bitwidth, method, scale, .. } = self;
        ensure!(BITS.contains(bitwidth), "{name}: bitwidth is {bitwidth}, it must be 2 to 16");
        ensure!(
            !self.range_method.is_learned(),
            "{name}: range_method {:?} is not one of nics_fix's",
            self.range_method
        );
        let positive = scale.iter().all(|scale| *scale > 0.0 && scale.is_finite());
        ensure!(positive, "{name}: scale is {scale:?}, it must be positive");
        let fixed = *method == FixMethod::Fixed;
        ensure!(!fixed || !scale.is_empty(), "{name}: FIX_FIXED without a scale: set one, or use FIX_AUTO first");
        let powers = self.float_scale || scale.iter().all(|scale| scale.log2().fract() == 0.0);
        ensure!(powers, "{name}: scale is {scale:?}, it must be a power of two unless float_scale is set");
        if let Some(zeros) = self.zero_point.as_ref().filter(|_| !scale.is_empty()) {
            ensure!(zeros.len() == scale.len(), "{name}: {} zero points for {} scales", zeros.len(), scale.len());
        }
        Ok(())
    }

    /// What a quantizer makes of it.
    pub(super) fn settings(&self, kind: TensorKind) -> Settings {
        let granularity = match self.group {
            FixGroup::None => Granularity::Tensor,
            FixGroup::Batch => Granularity::Channel,
            FixGroup::Channel => Granularity::InputChannel,
        };
        let config = QuantizerConfig {
            bits: Some(self.bitwidth),
            range: Some(self.range_method),
            granularity: Some(granularity),
            stochastic: Some(self.stochastic),
            ..QuantizerConfig::default()
        };
        let asymmetric = self.zero_point.is_some();
        let narrow = kind != TensorKind::Activation && !asymmetric;
        let codes = if narrow { CodeRange::narrow(self.bitwidth) } else { CodeRange::signed(self.bitwidth) };
        let steps = if self.float_scale { Steps::Real } else { Steps::Logarithm };
        let momentum = if kind == TensorKind::Activation { self.momentum } else { 0.0 };
        Settings { codes, steps, asymmetric, momentum, ..Settings::weights(config, Scheme::PowerOfTwo) }
    }

    /// A code's step by the range that codes reach up to.
    pub(super) fn steps_in_a_scale(&self) -> f64 {
        let half = 2_f64.powi(i32::from(self.bitwidth) - 1);
        if self.float_scale && self.zero_point.is_none() { half - 1.0 } else { half }
    }
}

/// As nics_fix prints it; a scale keeps its fraction.
impl fmt::Display for FixConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let method = match self.method {
            FixMethod::None => "FIX_NONE",
            FixMethod::Auto => "FIX_AUTO",
            FixMethod::Fixed => "FIX_FIXED",
        };
        let scales: Vec<String> = self.scale.iter().map(f64::to_string).collect();
        write!(f, "{method}, {} bits, range {:?}, scale [{}]", self.bitwidth, self.range_method, scales.join(", "))?;
        if let Some(zeros) = &self.zero_point {
            write!(f, ", zero_point {zeros:?}")?;
        }
        if self.group != FixGroup::None {
            write!(f, ", group {:?}", self.group)?;
        }
        if self.stochastic { write!(f, ", stochastic") } else { Ok(()) }
    }
}
