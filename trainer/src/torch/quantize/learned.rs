//! Steps that the gradient changes.

use tch::Tensor;

use super::exponent::power_of_two;
use super::settings::Settings;
use crate::quantizer_config::RangeMethod;

/// What training starts from: the logarithm of the threshold, or the step.
///
/// rows    `[G, N]`
/// output  `[G]`
pub fn initial(rows: &Tensor, settings: &Settings) -> Tensor {
    let hi = f64::from(settings.codes.hi);
    let least = f64::from(f32::MIN_POSITIVE);
    match settings.method {
        // Esser et al. 2020, section 2.1.
        RangeMethod::Lsq => {
            (rows.abs().mean_dim([1].as_slice(), false, rows.kind()) * 2.0 / hi.sqrt()).clamp_min(least)
        }
        _ => super::range::range(rows, settings).clamp_min(least).log2(),
    }
}

/// Steps of learned values; the gradient of a power of two is that of `2^x` (Jain et al. 2020, section 3.2), and every gradient is
/// scaled by `1 / sqrt(values * greatest code)` (Esser et al. 2020, section 2.2).
///
/// learned  `[G]`
/// values   values that share a step
/// output   `[G]`
pub fn step(learned: &Tensor, values: i64, settings: &Settings) -> Tensor {
    let hi = f64::from(settings.codes.hi);
    let share = 1.0 / (values as f64 * hi).sqrt();
    let scaled = learned * share + (learned - learned * share).detach();
    if settings.method == RangeMethod::Lsq {
        return scaled.abs().clamp_min(f64::from(f32::MIN_POSITIVE));
    }
    // The sum in `scaled` may be a unit off, and a ceiling would make an octave of it.
    let step = power_of_two(&(learned.detach().ceil() - f64::from(settings.codes.hi.ilog2() + 1)));
    let slope = (&scaled - scaled.detach()) * std::f64::consts::LN_2 + 1.0;
    step * slope
}
