//! Learned slopes of a PReLU, rounded to what the runtime multiplies by. Spec 4.10.

use anyhow::{Context, Result};
use tch::{Device, Kind, Tensor};

use super::fixed_point::SMALL_SCALE;
use crate::export::affine;
use crate::export::{FixedPointOp, FixedPointTensor};
use crate::network::LEARNED_SLOPE_BITS;
use crate::quantizer_config::Scheme;
use crate::torch::operators::prelu;
use crate::torch::shim::{Rounding, fake_quantize};

/// Slopes of one layer.
#[derive(Debug)]
pub(super) struct Slopes {
    /// `[1]` or `[C]`.
    values: Tensor,
    /// Of their codes, on the device of the values.
    step: Tensor,
}

impl Slopes {
    /// Goes on from slopes `[1]` or `[C]`.
    pub(super) fn new(values: &Tensor, device: Device) -> Self {
        let step = 2_f32.powi(-i32::from(LEARNED_SLOPE_BITS));
        Self {
            values: values.detach().copy().to_device(device).set_requires_grad(true),
            step: Tensor::from_slice(&[step]).to_device(device),
        }
    }

    /// What the optimizer changes.
    pub(super) fn parameter(&self) -> Tensor {
        self.values.shallow_clone()
    }

    /// Negative values of `x`, `[N, C, H, W]`, times the rounded slopes.
    pub(super) fn apply(&self, x: &Tensor, kind: Kind) -> Result<Tensor> {
        Ok(prelu(x, &self.rounded(kind)?))
    }

    /// Negative values of `x`, `[N, C, H, W]`, times the slopes as they are learned.
    pub(super) fn apply_real(&self, x: &Tensor) -> Tensor {
        prelu(x, &self.values)
    }

    /// The operator: in the affine scheme a table, as there is one slope.
    pub(super) fn to_fixed_point(
        &self,
        scheme: Scheme,
        input: FixedPointTensor,
        output: FixedPointTensor,
    ) -> Result<FixedPointOp> {
        let rounded = tch::no_grad(|| self.rounded(Kind::Double))?;
        if scheme == Scheme::Affine {
            return affine::leaky(rounded.double_value(&[0]), input, output).context(SMALL_SCALE);
        }
        let codes = (rounded / self.step.to_kind(Kind::Double)).to_kind(Kind::Int16);
        Ok(FixedPointOp::LeakyRelu { slopes: Vec::try_from(codes)?, slope_bits: LEARNED_SLOPE_BITS })
    }

    fn rounded(&self, kind: Kind) -> Result<Tensor> {
        let rounding = Rounding::half_up(i16::MIN.into(), i16::MAX.into());
        Ok(fake_quantize(&self.values.to_kind(kind), &self.step.to_kind(kind), None, rounding)?)
    }
}
