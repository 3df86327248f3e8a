//! The range whose quantized histogram is nearest to the real one (Migacz 2017, "8-bit inference with TensorRT").

use tch::{Kind, Tensor};

use super::super::exponent::cover;
use super::super::settings::{Settings, Steps};

/// Bins for each code at the greatest range.
const BINS_A_CODE: i64 = 16;

/// Stands for an empty bin of the quantized histogram.
const EPSILON: f64 = 1e-9;

/// The range with the least Kullback-Leibler divergence of magnitudes; the greater of equals.
pub(super) fn kl(rows: &Tensor, settings: &Settings) -> Tensor {
    let each: Vec<Tensor> = (0..rows.size()[0]).map(|row| row_range(&rows.get(row), settings)).collect();
    Tensor::stack(&each, 0)
}

/// x       `[N]`
/// output  a scalar
fn row_range(x: &Tensor, settings: &Settings) -> Tensor {
    let levels = i64::from(settings.codes.hi) + 1;
    let greatest = x.abs().max();
    // Steps that are powers of two lie on the bins' edges.
    let (top, widths): (Tensor, Vec<i64>) = match settings.steps {
        Steps::Real => (greatest.shallow_clone(), (1..=BINS_A_CODE).rev().collect()),
        _ => (cover(&greatest, settings.codes.hi) * levels as f64, vec![16, 8, 4, 2, 1]),
    };
    let histogram = histogram(&x.abs(), &top, levels * BINS_A_CODE);
    let divergences: Vec<Tensor> = widths.iter().map(|width| divergence(&histogram, levels, *width)).collect();
    let best = Tensor::stack(&divergences, 0).argmin(0, false);
    let widths =
        Tensor::from_slice(&widths).to_device(x.device()).index_select(0, &best.view([1])).view([] as [i64; 0]);
    let share = widths.to_kind(x.kind()) / BINS_A_CODE as f64;
    let range = top * share * (f64::from(settings.codes.hi) / levels as f64);
    range.where_self(&greatest.gt(0.0), &greatest)
}

/// Counts of magnitudes in bins of equal width from 0 to `top`, `[bins]`, f64.
fn histogram(magnitudes: &Tensor, top: &Tensor, bins: i64) -> Tensor {
    let place = magnitudes / top.clamp_min(f64::from(f32::MIN_POSITIVE)) * bins as f64;
    let index = place.floor().clamp(0.0, (bins - 1) as f64).to_kind(Kind::Int64);
    let counts = Tensor::zeros([bins], (Kind::Double, magnitudes.device()));
    counts.index_add(0, &index, &index.ones_like().to_kind(Kind::Double))
}

/// Of the histogram cut off behind `levels * width` bins from itself in `levels` steps.
fn divergence(histogram: &Tensor, levels: i64, width: i64) -> Tensor {
    let kept = levels * width;
    let inside = histogram.narrow(0, 0, kept);
    let outside = histogram.narrow(0, kept, histogram.size()[0] - kept).sum(Kind::Double);
    let reference = inside.copy();
    let _ = reference.get(kept - 1).g_add_(&outside);
    let occupied = inside.gt(0.0).to_kind(Kind::Double);
    let by_level = |values: &Tensor| values.view([levels, width]).sum_dim_intlist([1].as_slice(), true, Kind::Double);
    let mean = by_level(&inside) / by_level(&occupied).clamp_min(1.0);
    let quantized = (mean * occupied.view([levels, width])).view([-1]);
    let share = |values: Tensor| &values / values.sum(Kind::Double).clamp_min(EPSILON);
    let (reference, quantized) = (share(reference), share(quantized));
    let ratio = (&reference + EPSILON) / (quantized + EPSILON);
    (reference * ratio.log()).sum(Kind::Double)
}
