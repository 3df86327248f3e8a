//! A quantizer's settings, every default filled in.

use anyhow::{Context, Result, ensure};

use super::codes::CodeRange;
use crate::quantizer_config::{Granularity, QuantizerConfig, RangeMethod, Scheme};

/// Share of the values that `percentile` covers where the config leaves it out, in percent.
const DEFAULT_PERCENTILE: f64 = 99.99;

/// Bits where the config leaves them out.
pub const DEFAULT_BITS: u8 = 8;

/// How steps follow from ranges.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Steps {
    /// The least power of two that covers the range. Spec 1.4.
    Covering,
    /// nics_fix's rule, by the logarithm of the range.
    Logarithm,
    /// The range by the greatest code.
    Real,
}

/// How one tensor is quantized.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Settings {
    /// Bits of a code.
    pub bits: u8,
    /// Least and greatest code.
    pub codes: CodeRange,
    /// From a tensor to the range that codes cover.
    pub method: RangeMethod,
    /// Which values share a step.
    pub granularity: Granularity,
    /// Dimension of the output channels: 0 of weights and biases, 1 of activations.
    pub channel_axis: i64,
    /// Rounding in training.
    pub stochastic: bool,
    /// For [`RangeMethod::Percentile`].
    pub percentile: f64,
    /// From ranges to steps.
    pub steps: Steps,
    /// A code of 0 of its own, for ranges that do not lie around 0.
    pub asymmetric: bool,
    /// Share of the past in the moving average of a range.
    pub momentum: f64,
}

impl Settings {
    /// Weights of a layer, each batch's range its own.
    #[must_use]
    pub fn weights(config: QuantizerConfig, scheme: Scheme) -> Self {
        let bits = config.bits.unwrap_or(DEFAULT_BITS);
        Self::new(config, CodeRange::narrow(bits), scheme)
    }

    /// What a layer writes; `positive` says that an activation function clips it at 0.
    ///
    /// # Errors
    /// Where unsigned codes of 16 bits are asked for.
    pub fn activations(config: QuantizerConfig, scheme: Scheme, positive: bool, momentum: f64) -> Result<Self> {
        let bits = config.bits.unwrap_or(DEFAULT_BITS);
        let asymmetric = scheme == Scheme::Affine;
        let unsigned = positive && config.unsigned.unwrap_or(false) && !asymmetric;
        let codes = if unsigned { CodeRange::unsigned(bits) } else { CodeRange::signed(bits) };
        codes.element().context("unsigned codes of 16 bits do not fit the runtime's tensors: 15 bits at most")?;
        ensure!(!asymmetric || bits <= 8, "{bits} bits: activations of the affine scheme have 8 at most");
        let granularity = config.granularity.unwrap_or_default();
        let one = granularity == Granularity::Tensor;
        ensure!(one, "granularity {granularity}: activations have one step a tensor");
        Ok(Self { channel_axis: 1, asymmetric, momentum, ..Self::new(config, codes, scheme) })
    }

    /// Given codes, one step.
    #[must_use]
    pub fn of_codes(codes: CodeRange) -> Self {
        let bits = (codes.hi.ilog2() + 1) as u8 + u8::from(codes.lo < 0);
        Self { bits, ..Self::new(QuantizerConfig::default(), codes, Scheme::PowerOfTwo) }
    }

    /// A gradient, each its own range.
    #[must_use]
    pub fn gradient(config: QuantizerConfig, channel_axis: i64) -> Self {
        let bits = config.bits.unwrap_or(DEFAULT_BITS);
        Self { channel_axis, ..Self::new(config, CodeRange::narrow(bits), Scheme::PowerOfTwo) }
    }

    fn new(config: QuantizerConfig, codes: CodeRange, scheme: Scheme) -> Self {
        Self {
            bits: config.bits.unwrap_or(DEFAULT_BITS),
            codes,
            method: config.range.unwrap_or_default(),
            granularity: config.granularity.unwrap_or_default(),
            channel_axis: 0,
            stochastic: config.stochastic.unwrap_or(false),
            percentile: config.percentile.unwrap_or(DEFAULT_PERCENTILE),
            steps: if scheme == Scheme::Affine { Steps::Real } else { Steps::Covering },
            asymmetric: false,
            momentum: 0.0,
        }
    }

    /// The dimension along which steps differ.
    #[must_use]
    pub const fn axis(&self) -> i64 {
        match self.granularity {
            Granularity::InputChannel => 1,
            _ => self.channel_axis,
        }
    }
}
