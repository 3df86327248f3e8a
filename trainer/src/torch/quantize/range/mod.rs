//! From a tensor to the range that its codes cover, one method a file.
//!
//! Every method reads rows `[G, N]` and gives a magnitude for each, `[G]`, on the tensor's device; none is NaN for few or equal values.

mod histogram;
mod least_error;
mod max;
mod quantile;
mod three_sigma;

use tch::Tensor;

use super::settings::Settings;
use super::step_of;
use crate::quantizer_config::RangeMethod;

/// The magnitude that the codes of each row cover.
///
/// rows    `[G, N]`, f32 or f64
/// output  `[G]`, not negative
pub fn range(rows: &Tensor, settings: &Settings) -> Tensor {
    match settings.method {
        RangeMethod::Max | RangeMethod::Tqt | RangeMethod::Lsq => max::range(rows),
        RangeMethod::ThreeSigma => three_sigma::range(rows),
        RangeMethod::TenPercent => quantile::exceeded_by(rows, 0.1),
        RangeMethod::Percentile => quantile::exceeded_by(rows, 1.0 - settings.percentile / 100.0),
        RangeMethod::Sweep => least_error::sweep(rows, settings),
        RangeMethod::Mse => least_error::mse(rows, settings),
        RangeMethod::Kl => histogram::kl(rows, settings),
    }
}

#[cfg(test)]
mod tests;
