use anyhow::Result;
use tch::{Tensor, nn};

use super::fix::{Fix, TensorKind};
use super::top::FixPath;

/// What a convolution is but for its channels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ConvConfig {
    /// Rows and columns of the kernel.
    pub kernel: i64,
    /// From one output to the next.
    pub stride: i64,
    /// Zeros on each side.
    pub padding: i64,
    /// Divides input and output channels.
    pub groups: i64,
    /// Adds a bias.
    pub bias: bool,
}

impl ConvConfig {
    /// A kernel of `kernel * kernel`, with a bias.
    #[must_use]
    pub const fn new(kernel: i64) -> Self {
        Self { kernel, stride: 1, padding: 0, groups: 1, bias: true }
    }
}

/// A 2-D convolution in fixed point.
#[derive(Debug)]
pub struct Conv2dFix {
    weight: Tensor,
    bias: Option<Tensor>,
    weight_fix: Fix,
    bias_fix: Option<Fix>,
    config: ConvConfig,
}

impl Conv2dFix {
    const TYPE: &str = "Conv2d_fix";

    /// Variables `weight` and `bias`, registered under the same names.
    ///
    /// # Errors
    /// Those of libtorch.
    pub fn new(vs: &nn::Path<'_>, fix: &FixPath, in_ch: i64, out_ch: i64, config: ConvConfig) -> Result<Self> {
        let shape = [out_ch, in_ch / config.groups, config.kernel, config.kernel];
        let weight = vs.f_var("weight", &shape, nn::init::DEFAULT_KAIMING_UNIFORM)?;
        let bias = config.bias.then(|| vs.f_var("bias", &[out_ch], nn::Init::Const(0.0))).transpose()?;
        let weight_fix = fix.parameter(Self::TYPE, TensorKind::Weight, &weight);
        let bias_fix = bias.as_ref().map(|bias| fix.parameter(Self::TYPE, TensorKind::Bias, bias));
        Ok(Self { weight, bias, weight_fix, bias_fix, config })
    }

    /// x  `[N, C_IN, H, W]`
    ///
    /// # Errors
    /// Where a config has no usable scale.
    pub fn forward(&self, x: &Tensor) -> Result<Tensor> {
        let ConvConfig { stride, padding, groups, .. } = self.config;
        let weight = self.weight_fix.forward(&self.weight)?;
        let bias = self.bias.as_ref().zip(self.bias_fix.as_ref()).map(|(bias, fix)| fix.forward(bias)).transpose()?;
        Ok(x.f_conv2d(&weight, bias.as_ref(), [stride; 2], [padding; 2], [1, 1], groups)?)
    }
}

/// A fully connected layer in fixed point.
#[derive(Debug)]
pub struct LinearFix {
    weight: Tensor,
    bias: Tensor,
    weight_fix: Fix,
    bias_fix: Fix,
}

impl LinearFix {
    const TYPE: &str = "Linear_fix";

    /// Variables `weight` and `bias`, registered under the same names.
    ///
    /// # Errors
    /// Those of libtorch.
    pub fn new(vs: &nn::Path<'_>, fix: &FixPath, inputs: i64, outputs: i64) -> Result<Self> {
        let weight = vs.f_var("weight", &[outputs, inputs], nn::init::DEFAULT_KAIMING_UNIFORM)?;
        let bias = vs.f_var("bias", &[outputs], nn::Init::Const(0.0))?;
        let weight_fix = fix.parameter(Self::TYPE, TensorKind::Weight, &weight);
        let bias_fix = fix.parameter(Self::TYPE, TensorKind::Bias, &bias);
        Ok(Self { weight, bias, weight_fix, bias_fix })
    }

    /// x  `[N, inputs]`
    ///
    /// # Errors
    /// Where a config has no usable scale.
    pub fn forward(&self, x: &Tensor) -> Result<Tensor> {
        let (weight, bias) = (self.weight_fix.forward(&self.weight)?, self.bias_fix.forward(&self.bias)?);
        Ok(x.f_linear(&weight, Some(&bias))?)
    }
}

/// An activation quantizer between any two operators.
#[derive(Debug)]
pub struct ActivationFix {
    fix: Fix,
}

impl ActivationFix {
    const TYPE: &str = "Activation_fix";

    /// Registered as `activation`.
    #[must_use]
    pub fn new(fix: &FixPath) -> Self {
        Self { fix: fix.activation(Self::TYPE) }
    }

    /// # Errors
    /// Where the config has no usable scale.
    pub fn forward(&self, x: &Tensor) -> Result<Tensor> {
        self.fix.forward(x)
    }
}
