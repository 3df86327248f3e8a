use anyhow::Result;
use tch::{Kind, Tensor, nn};

use super::fix::{Fix, TensorKind};
use super::top::FixPath;

/// Added to a variance before its root.
pub(super) const EPSILON: f64 = 1e-5;

/// Share of a batch's statistics in the running ones.
pub(super) const MOMENTUM: f64 = 0.1;

/// A batch norm in fixed point, over `[N, C]` or `[N, C, H, W]`: `BatchNorm1d_fix` and `BatchNorm2d_fix`.
///
/// The running statistics are of real values: what is quantized is what a forward pass reads of them.
#[derive(Debug)]
pub struct BatchNormFix {
    weight: Tensor,
    bias: Tensor,
    running_mean: Tensor,
    running_var: Tensor,
    fixes: [Fix; 4],
}

impl BatchNormFix {
    /// Variables `weight`, `bias`, `running_mean` and `running_var`, registered under the same names.
    ///
    /// # Errors
    /// Those of libtorch.
    pub fn new(vs: &nn::Path<'_>, fix: &FixPath, channels: i64) -> Result<Self> {
        let weight = vs.f_var("weight", &[channels], nn::Init::Const(1.0))?;
        let bias = vs.f_var("bias", &[channels], nn::Init::Const(0.0))?;
        let running_mean = vs.f_zeros_no_train("running_mean", &[channels])?;
        let running_var = vs.f_ones_no_train("running_var", &[channels])?;
        let parameter = |kind, tensor: &Tensor| fix.parameter("BatchNorm_fix", kind, tensor);
        let fixes = [
            parameter(TensorKind::Weight, &weight),
            parameter(TensorKind::Bias, &bias),
            parameter(TensorKind::RunningMean, &running_mean),
            parameter(TensorKind::RunningVar, &running_var),
        ];
        Ok(Self { weight, bias, running_mean, running_var, fixes })
    }

    /// x      `[N, C, ..]`
    /// train  normalizes by the batch and updates the running statistics
    ///
    /// # Errors
    /// Where a config has no usable scale.
    pub fn forward(&self, x: &Tensor, train: bool) -> Result<Tensor> {
        let [weight, bias, mean, variance] = &self.fixes;
        let (weight, bias) = (weight.forward(&self.weight)?, bias.forward(&self.bias)?);
        if train {
            let (batch_mean, batch_variance) = statistics(x);
            remember(&self.running_mean, &batch_mean);
            remember(&self.running_var, &batch_variance);
            // An evaluation with fixed scales has them from here.
            let _ = tch::no_grad(|| {
                Ok::<_, anyhow::Error>((mean.forward(&self.running_mean)?, variance.forward(&self.running_var)?))
            })?;
            return Ok(normalized(x, &weight, &bias, &batch_mean, &batch_variance));
        }
        let (mean, variance) = (mean.forward(&self.running_mean)?, variance.forward(&self.running_var)?);
        // A variance that rounds to less than nothing is nothing.
        Ok(normalized(x, &weight, &bias, &mean, &variance.clamp_min(0.0)))
    }
}

/// Mean and variance of each channel, divided by the number of values.
pub(super) fn statistics(x: &Tensor) -> (Tensor, Tensor) {
    let axes: Vec<i64> = (0..x.dim() as i64).filter(|axis| *axis != 1).collect();
    let mean = x.mean_dim(axes.as_slice(), false, Kind::Float);
    let variance = (x - by_channel(&mean, x)).square().mean_dim(axes.as_slice(), false, Kind::Float);
    (mean, variance)
}

/// Moves a running statistic towards that of a batch.
pub(super) fn remember(running: &Tensor, batch: &Tensor) {
    tch::no_grad(|| {
        let updated = running * (1.0 - MOMENTUM) + batch.detach() * MOMENTUM;
        running.shallow_clone().copy_(&updated);
    });
}

fn normalized(x: &Tensor, weight: &Tensor, bias: &Tensor, mean: &Tensor, variance: &Tensor) -> Tensor {
    let scale = weight / (variance + EPSILON).sqrt();
    (x - by_channel(mean, x)) * by_channel(&scale, x) + by_channel(bias, x)
}

/// One value for each channel, in the shape that broadcasts over x.
fn by_channel(values: &Tensor, x: &Tensor) -> Tensor {
    let mut shape = vec![1; x.dim()];
    shape[1] = -1;
    values.view(shape.as_slice())
}
