//! Ranges by trial: the one whose codes are nearest to the values.

use tch::{Kind, Tensor};

use super::super::settings::{Settings, Steps};
use super::step_of;
use crate::torch::shim::{Rounding, fake_quantize};

/// Ranges that are powers of two apart.
const OCTAVES: i32 = 8;

/// Real ranges, from the greatest magnitude down to a fifth of it.
const FRACTIONS: i32 = 64;

/// Of the greatest magnitude, its half and its quarter, the one with the least squared error.
pub(super) fn sweep(rows: &Tensor, settings: &Settings) -> Tensor {
    best(rows, settings, &[1.0, 0.5, 0.25])
}

/// The range with the least squared error: every octave for steps that are powers of two, fine fractions for real ones.
pub(super) fn mse(rows: &Tensor, settings: &Settings) -> Tensor {
    let factors: Vec<f64> = match settings.steps {
        Steps::Real => (0..FRACTIONS).map(|i| 1.0 - 0.8 * f64::from(i) / f64::from(FRACTIONS)).collect(),
        _ => (0..OCTAVES).map(|octave| 2_f64.powi(-octave)).collect(),
    };
    best(rows, settings, &factors)
}

/// Of fractions of the greatest magnitude, the one with the least squared error; the greater of equals.
fn best(rows: &Tensor, settings: &Settings, factors: &[f64]) -> Tensor {
    let greatest = super::max::range(rows);
    let ranges: Vec<Tensor> = factors.iter().map(|factor| &greatest * *factor).collect();
    let errors: Vec<Tensor> = ranges.iter().map(|range| squared_error(rows, range, settings)).collect();
    let least = Tensor::stack(&errors, 0).argmin(0, true);
    Tensor::stack(&ranges, 0).gather(0, &least, false).squeeze_dim(0)
}

/// Sum over each row, `[G]`, f64.
fn squared_error(rows: &Tensor, range: &Tensor, settings: &Settings) -> Tensor {
    let rounding = Rounding::half_up(settings.codes.lo.into(), settings.codes.hi.into());
    let step = step_of(range, settings);
    let quantized = fake_quantize(rows, &step, None, rounding).expect("there is a step for each row");
    (quantized - rows).to_kind(Kind::Double).square().sum_dim_intlist([1].as_slice(), false, Kind::Double)
}
