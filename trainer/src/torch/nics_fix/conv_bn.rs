use anyhow::Result;
use tch::{Tensor, nn};

use super::batch_norm::{EPSILON, remember, statistics};
use super::conv::ConvConfig;
use super::fix::{Fix, TensorKind};
use super::top::FixPath;

/// A convolution with the batch norm behind it folded in, in fixed point: what is quantized are the folded weights and bias.
#[derive(Debug)]
pub struct ConvBnFix {
    weight: Tensor,
    gamma: Tensor,
    beta: Tensor,
    running_mean: Tensor,
    running_var: Tensor,
    weight_fix: Fix,
    bias_fix: Fix,
    config: ConvConfig,
}

impl ConvBnFix {
    const TYPE: &str = "ConvBN_fix";

    /// Variables `weight`, `gamma`, `beta`, `running_mean` and `running_var`; `weight` and `bias` are registered.
    ///
    /// # Errors
    /// Those of libtorch.
    pub fn new(vs: &nn::Path<'_>, fix: &FixPath, in_ch: i64, out_ch: i64, config: ConvConfig) -> Result<Self> {
        let shape = [out_ch, in_ch / config.groups, config.kernel, config.kernel];
        let weight = vs.f_var("weight", &shape, nn::init::DEFAULT_KAIMING_UNIFORM)?;
        let gamma = vs.f_var("gamma", &[out_ch], nn::Init::Const(1.0))?;
        let beta = vs.f_var("beta", &[out_ch], nn::Init::Const(0.0))?;
        let running_mean = vs.f_zeros_no_train("running_mean", &[out_ch])?;
        let running_var = vs.f_ones_no_train("running_var", &[out_ch])?;
        let shared = || [&weight, &gamma, &beta, &running_mean, &running_var].map(Tensor::shallow_clone);
        let [conv, scale, _, _, variance] = shared();
        let folded_weight = move || &conv * factor(&scale, &variance).view([-1, 1, 1, 1]);
        let [_, scale, shift, mean, variance] = shared();
        let folded_bias = move || &shift - &mean * factor(&scale, &variance);
        Ok(Self {
            weight_fix: fix.computed_parameter(Self::TYPE, TensorKind::Weight, folded_weight),
            bias_fix: fix.computed_parameter(Self::TYPE, TensorKind::Bias, folded_bias),
            running_mean,
            running_var,
            weight,
            gamma,
            beta,
            config,
        })
    }

    /// One convolution, by the folded weights; in training its output is normalized by the batch's own statistics, divided by the
    /// number of values.
    ///
    /// x  `[N, C_IN, H, W]`
    ///
    /// # Errors
    /// Where a config has no usable scale.
    pub fn forward(&self, x: &Tensor, train: bool) -> Result<Tensor> {
        let ConvConfig { stride, padding, groups, .. } = self.config;
        let factor = factor(&self.gamma, &self.running_var);
        let weight = self.weight_fix.forward(&(&self.weight * factor.view([-1, 1, 1, 1])))?;
        let convolved = |bias: Option<&Tensor>| x.f_conv2d(&weight, bias, [stride; 2], [padding; 2], [1, 1], groups);
        if !train {
            let bias = self.bias_fix.forward(&(&self.beta - &self.running_mean * &factor))?;
            return Ok(convolved(Some(&bias))?);
        }
        let sums = convolved(None)?;
        let (mean, variance) = statistics(&sums);
        // sums = factor * (sums of the weights that are not folded).
        let divisor = tch::no_grad(|| factor.detach() + factor.eq(0.0).to_kind(factor.kind()));
        remember(&self.running_mean, &(mean.detach() / &divisor));
        remember(&self.running_var, &(variance.detach() / divisor.square()));
        let scale =
            factor.sign() * &self.gamma / (variance + factor.square() * EPSILON + f64::from(f32::MIN_POSITIVE)).sqrt();
        let bias = self.bias_fix.forward(&(&self.beta - mean * &scale))?;
        Ok(sums * scale.view([1, -1, 1, 1]) + bias.view([1, -1, 1, 1]))
    }
}

/// What multiplies a channel.
fn factor(gamma: &Tensor, variance: &Tensor) -> Tensor {
    gamma / (variance + EPSILON).sqrt()
}
