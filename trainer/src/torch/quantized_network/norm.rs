//! Batch norm that is folded again at every step, its statistics corrected (Krishnamoorthi 2018, section 3.2.2). Spec 5.4.

use tch::{Kind, Tensor};

use crate::torch::float_network::{BATCH_NORM_EPSILON, BatchNorm};

/// Share of a batch's statistics in the running ones.
const MOMENTUM: f64 = 0.1;

/// A normalization with running statistics, each `[C_OUT]`.
#[derive(Debug)]
pub(super) struct Norm {
    pub(super) gamma: Tensor,
    pub(super) beta: Tensor,
    pub(super) mean: Tensor,
    pub(super) variance: Tensor,
}

/// A layer's constants with the normalization in them.
pub(super) struct Folded {
    pub(super) weight: Tensor,
    pub(super) bias: Tensor,
}

impl Norm {
    /// A copy that can be trained on.
    pub(super) fn of(norm: &BatchNorm) -> Self {
        let trained = |tensor: &Tensor| tensor.detach().copy().set_requires_grad(true);
        let kept = |tensor: &Tensor| tensor.detach().copy();
        Self {
            gamma: trained(&norm.gamma),
            beta: trained(&norm.beta),
            mean: kept(&norm.mean),
            variance: kept(&norm.variance),
        }
    }

    /// Weights and bias with the running statistics in them.
    pub(super) fn fold(&self, weight: &Tensor, bias: &Tensor) -> Folded {
        let factor = self.factor();
        Folded { weight: weight * factor.view([-1, 1, 1, 1]), bias: &self.beta + (bias - &self.mean) * &factor }
    }

    /// What multiplies a channel.
    pub(super) fn factor(&self) -> Tensor {
        &self.gamma / (&self.variance + BATCH_NORM_EPSILON).sqrt()
    }

    /// The sums of products of weights that are folded by the running statistics, normalized by those of the batch, which go into the
    /// running ones. One convolution gives both.
    ///
    /// sums    `[N, C_OUT, H, W]`, without a bias
    /// output  the same
    pub(super) fn corrected(&mut self, sums: &Tensor) -> Tensor {
        let axes = [0, 2, 3].as_slice();
        let by_channel = |values: &Tensor| values.view([1, -1, 1, 1]);
        let mean = sums.mean_dim(axes, false, Kind::Float);
        let centered = sums - by_channel(&mean);
        let variance = centered.square().mean_dim(axes, false, Kind::Float);
        let factor = self.factor();
        self.remember(&mean.detach(), &variance.detach(), &factor.detach());
        // sums = factor * (sums of the weights that are not folded), and so are their statistics.
        let deviation = (variance + factor.square() * BATCH_NORM_EPSILON + f64::from(f32::MIN_POSITIVE)).sqrt();
        let scale = factor.sign() * &self.gamma / deviation;
        centered * by_channel(&scale) + by_channel(&self.beta)
    }

    /// Channels whose factor is 0 have no statistics.
    fn remember(&mut self, mean: &Tensor, variance: &Tensor, factor: &Tensor) {
        tch::no_grad(|| {
            let silent = factor.eq(0.0);
            let divisor = factor.ones_like().where_self(&silent, factor);
            let updated =
                |past: &Tensor, seen: Tensor| past.where_self(&silent, &(past * (1.0 - MOMENTUM) + seen * MOMENTUM));
            let (mean, variance) =
                (updated(&self.mean, mean / &divisor), updated(&self.variance, variance / divisor.square()));
            self.mean.copy_(&mean);
            self.variance.copy_(&variance);
        });
    }
}
