//! Maxima and means.

use super::node::NodeCheck;
use crate::arithmetic::{MAX_ABS_CODE, MAX_SHIFT, rounding};
use crate::error::{LoadError, NodeFault};
use crate::format::{AveragePool2d, GlobalAveragePool, MaxPool2d, Shape, TensorRecord, Window};

impl<const OPERATORS: u32> NodeCheck<'_, OPERATORS> {
    pub(super) fn max_pool2d(&self, op: &MaxPool2d) -> Result<(), LoadError> {
        let input = self.input(op.input)?;
        self.pooled(&op.window, &input)?;
        self.same_exponent(&input)?;
        self.activation(op.activation)
    }

    pub(super) fn average_pool2d(&self, op: &AveragePool2d<'_>) -> Result<(), LoadError> {
        let input = self.input(op.input)?;
        self.pooled(&op.window, &input)?;
        self.require(op.multipliers.len() == 4 * op.window.taps(), NodeFault::BlobLength)?;
        for count in 1..=op.window.taps() {
            self.reciprocal(count as u64, op.multiplier(count).unwrap_or(0), op.right_shift)?;
        }
        self.activation(op.activation)
    }

    pub(super) fn global_average_pool(&self, op: &GlobalAveragePool) -> Result<(), LoadError> {
        let Shape { h, w, c } = self.input(op.input)?.shape;
        self.shaped(Some(Shape { h: 1, w: 1, c }))?;
        self.reciprocal(u64::from(h) * u64::from(w), op.multiplier, op.right_shift)?;
        self.activation(op.activation)
    }

    /// A dense window over each channel by itself.
    fn pooled(&self, window: &Window, input: &TensorRecord) -> Result<(), LoadError> {
        self.require(window.is_dense(), NodeFault::Window)?;
        self.windowed(window, input.shape)?;
        self.require(self.output.shape.c == input.shape.c, NodeFault::Shape)
    }

    /// A mean over `count` codes stays in 32 bits. Spec 4.5.
    fn reciprocal(&self, count: u64, multiplier: i32, right_shift: i8) -> Result<(), LoadError> {
        self.require(multiplier >= 1 && (0..=MAX_SHIFT).contains(&right_shift), NodeFault::Shift)?;
        let count = i64::try_from(count).unwrap_or(i64::MAX);
        let bound = MAX_ABS_CODE.saturating_mul(count).saturating_mul(multiplier.into());
        self.fits(0, bound.saturating_add(rounding(right_shift).into()))
    }
}
