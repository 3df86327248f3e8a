//! The front end of a network that listens: its description, its tables and its file. `spec/front-end.md`.
//!
//! [`FrontEndConfig`] is what a config says. [`Tables::new`] computes windows, sines, filters and cosines, in floating
//! point; [`Scaling::fit`] chooses offset and shift of every feature from training sounds; [`Tables::encode`] writes the
//! file that host and device compute the same features from, in integers.

mod scaling;
mod tables;

pub use scaling::Scaling;
pub use tables::Tables;

use anyhow::{Result, ensure};
use serde::{Deserialize, Serialize};

/// Log-mel energies or MFCCs, as a config describes them.
#[derive(Debug, Clone, Copy, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct FrontEndConfig {
    /// Milliseconds of a frame.
    #[serde(default = "default_frame_ms")]
    pub frame_ms: f64,
    /// Milliseconds from the beginning of one frame to the next.
    #[serde(default = "default_hop_ms")]
    pub hop_ms: f64,
    /// Mel channels, 1 to 128.
    #[serde(default = "default_channels")]
    pub channels: u8,
    /// MFCCs, at most `channels`; the channels' logarithms where left out.
    pub coefficients: Option<u8>,
    /// Hertz where the lowest triangle begins.
    #[serde(default = "default_lower_hz")]
    pub lower_hz: f64,
    /// Hertz where the highest triangle ends, at most half of the sample rate.
    #[serde(default = "default_upper_hz")]
    pub upper_hz: f64,
}

impl Default for FrontEndConfig {
    fn default() -> Self {
        Self {
            frame_ms: default_frame_ms(),
            hop_ms: default_hop_ms(),
            channels: default_channels(),
            coefficients: None,
            lower_hz: default_lower_hz(),
            upper_hz: default_upper_hz(),
        }
    }
}

const fn default_frame_ms() -> f64 {
    30.0
}

const fn default_hop_ms() -> f64 {
    20.0
}

const fn default_channels() -> u8 {
    40
}

const fn default_lower_hz() -> f64 {
    20.0
}

const fn default_upper_hz() -> f64 {
    4000.0
}

impl FrontEndConfig {
    /// Features of a frame.
    #[must_use]
    pub fn feature_count(&self) -> usize {
        self.coefficients.unwrap_or(self.channels).into()
    }

    /// Samples of a frame and of a hop.
    ///
    /// # Errors
    /// Names the key, the value and what would be right.
    pub fn lengths(&self, sample_rate: u32) -> Result<(u16, u16)> {
        let samples = |key: &str, ms: f64, most: u16| {
            let samples = (ms * f64::from(sample_rate) / 1000.0).round();
            let range = 1.0..=f64::from(most);
            ensure!(
                range.contains(&samples),
                "front_end.{key} is {ms}: {samples} samples at {sample_rate} Hz, it must be 1 to {most}"
            );
            Ok(samples as u16)
        };
        let frame = samples("frame_ms", self.frame_ms, 1 << tables::MAX_FFT_LOG2)?;
        Ok((frame, samples("hop_ms", self.hop_ms, frame)?))
    }

    fn check(&self, sample_rate: u32) -> Result<()> {
        let Self { channels, lower_hz, upper_hz, .. } = *self;
        ensure!((1..=128).contains(&channels), "front_end.channels is {channels}, it must be 1 to 128");
        if let Some(coefficients) = self.coefficients {
            ensure!(
                (1..=channels).contains(&coefficients),
                "front_end.coefficients is {coefficients}, it must be 1 to channels, {channels}"
            );
        }
        let half = f64::from(sample_rate) / 2.0;
        ensure!(
            lower_hz >= 0.0 && lower_hz < upper_hz && upper_hz <= half,
            "front_end.lower_hz is {lower_hz} and upper_hz {upper_hz}: they must rise, from 0 to half of the sample rate, {half}"
        );
        Ok(())
    }
}
