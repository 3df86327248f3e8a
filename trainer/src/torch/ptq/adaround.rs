//! AdaRound (Nagel et al. 2020): each weight rounds down or up, whichever keeps the layer's output.

use anyhow::{Context, Result};
use tch::{Kind, Tensor};

use super::super::operators::{clipped, weighted_sum};
use super::super::optimizer::Optimizer;
use super::super::quantized_network::QuantizedNetwork;
use crate::optimizer_config::OptimizerConfig;

/// Of Adam on the rounding variables.
const RATE: f64 = 1e-2;

/// Weight of the pull towards 0 and 1.
const REGULARIZATION: f64 = 0.01;

/// Share of the steps before the pull begins.
const WARM_UP: f64 = 0.2;

/// Exponent of the pull at its beginning and its end.
const SHARPNESS: (f64, f64) = (20.0, 2.0);

/// The rectified sigmoid reaches beyond 0 and 1 (equation 23).
const STRETCH: (f64, f64) = (1.2, -0.1);

/// Rounds the weights of a layer down or up as it learns to. Where that does not lessen the error of its output over all batches, they keep
/// the nearest codes, and the answer is false. `None` for layers without weights.
pub(super) fn round_layer(
    network: &mut QuantizedNetwork,
    layer: usize,
    batches: &[Tensor],
    steps: usize,
) -> Result<Option<bool>> {
    let Some((weight, bias)) = network.real_constants(layer) else { return Ok(None) };
    let (step, codes) = network.weight_steps(layer)?;
    let nearest = network.quantized_weight(layer)?.context("the layer has no weights")?;
    let scaled = weight / step.view([-1, 1, 1, 1]);
    let floor = scaled.floor();
    let variable = logit(&(&scaled - &floor)).set_requires_grad(true);
    let mut optimizer =
        Optimizer::new(OptimizerConfig::adam_w(RATE), vec![("rounding".to_owned(), variable.shallow_clone(), false)]);
    let described = network.network().layers[layer].clone();
    let pairs: Vec<(Tensor, Tensor)> = batches
        .iter()
        .map(|x| {
            let target = network.real_sums(x)?.swap_remove(layer);
            Ok((network.quantized_input(x, layer)?, clipped(described.activation, &target)))
        })
        .collect::<Result<_>>()?;
    let rounded =
        |up: &Tensor| (&floor + up).clamp(f64::from(codes.lo), f64::from(codes.hi)) * step.view([-1, 1, 1, 1]);
    // Over channels the sum, over images and places the mean.
    let error = |weight: &Tensor, (x, target): &(Tensor, Tensor)| {
        let output = clipped(described.activation, &weighted_sum(&described.op, x, weight, Some(&bias)));
        (output - target).square().mean(Kind::Float) * target.size()[1] as f64
    };
    for iteration in 0..steps {
        let up = stretched(&variable);
        let mut loss = error(&rounded(&up), &pairs[iteration % pairs.len()]);
        let place = (iteration as f64 / steps as f64 - WARM_UP) / (1.0 - WARM_UP);
        if place >= 0.0 {
            let sharpness = SHARPNESS.0 + (SHARPNESS.1 - SHARPNESS.0) * place;
            let undecided = -((up * 2.0 - 1.0).abs().pow_tensor_scalar(sharpness)) + 1.0;
            loss += undecided.sum(Kind::Float) * REGULARIZATION;
        }
        optimizer.zero_gradients();
        loss.backward();
        optimizer.step(RATE);
    }
    let learned = rounded(&stretched(&variable).ge(0.5).to_kind(Kind::Float)).detach();
    let of_all = |weight: &Tensor| pairs.iter().map(|pair| error(weight, pair).double_value(&[])).sum::<f64>();
    let is_better = tch::no_grad(|| of_all(&learned) < of_all(&nearest));
    if is_better {
        network.set_real_weight(layer, &learned);
    }
    Ok(Some(is_better))
}

/// The rectified sigmoid.
fn stretched(variable: &Tensor) -> Tensor {
    (variable.sigmoid() * STRETCH.0 + STRETCH.1).clamp(0.0, 1.0)
}

/// What the rectified sigmoid takes to a fraction.
fn logit(fraction: &Tensor) -> Tensor {
    let sigmoid = (fraction - STRETCH.1) / STRETCH.0;
    (&sigmoid / (-&sigmoid + 1.0)).log().detach()
}
