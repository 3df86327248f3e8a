//! AdaRound (Nagel et al. 2020): each weight rounds down or up, whichever keeps the layer's output.

use anyhow::Result;
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

/// Rounds the weights of a layer; those without weights stay.
pub(super) fn round_layer(
    network: &mut QuantizedNetwork,
    layer: usize,
    batches: &[Tensor],
    steps: usize,
) -> Result<()> {
    let Some((weight, bias)) = network.real_constants(layer) else { return Ok(()) };
    let (step, codes) = network.weight_steps(layer)?;
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
    for iteration in 0..steps {
        let (x, target) = &pairs[iteration % pairs.len()];
        let up = stretched(&variable);
        let output = clipped(described.activation, &weighted_sum(&described.op, x, &rounded(&up), Some(&bias)));
        // Over channels the sum, over images and places the mean.
        let mut loss = (output - target).square().mean(Kind::Float) * target.size()[1] as f64;
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
    let up = stretched(&variable).ge(0.5).to_kind(Kind::Float);
    network.set_real_weight(layer, &rounded(&up).detach());
    Ok(())
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
