//! Ranges that do not lie around 0: a step and the code of 0. Spec 1.5.

use tch::Tensor;

use super::exponent::cover;
use super::rows::extremes;
use super::settings::{Settings, Steps};

/// The least and the greatest value of each row, within `magnitude` and around 0.
///
/// rows       `[G, N]`
/// magnitude  `[G]`
/// output     two of `[G]`
pub fn bounds(rows: &Tensor, magnitude: &Tensor) -> (Tensor, Tensor) {
    let (least, greatest) = extremes(rows);
    (least.maximum(&-magnitude).clamp_max(0.0), greatest.minimum(magnitude).clamp_min(0.0))
}

/// Steps and codes of 0 such that the codes cover from `low` to `high` and 0 is a code (Jacob et al. 2017, section 2.1).
///
/// low, high  `[G]`, `low <= 0 <= high`
/// output     two of `[G]`
pub fn step_and_zero(low: &Tensor, high: &Tensor, settings: &Settings) -> (Tensor, Tensor) {
    let codes = settings.codes;
    let width = high - low;
    let step = match settings.steps {
        Steps::Real => (&width / f64::from(codes.hi - codes.lo)).clamp_min(f64::from(f32::MIN_POSITIVE)),
        _ => cover(&width, codes.hi - codes.lo),
    };
    // All values 0: any step serves.
    let step = step.where_self(&width.gt(0.0), &step.ones_like());
    let zero =
        ((low / &step).neg() + f64::from(codes.lo) + 0.5).floor().clamp(f64::from(codes.lo), f64::from(codes.hi));
    (step, zero)
}
