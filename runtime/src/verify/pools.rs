//! Maxima and means.

use super::node::NodeCheck;
use crate::arithmetic::MAX_SHIFT;
use crate::error::{LoadError, NodeFault};
use crate::format::{AffineMean, AveragePool2d, Element, Links, MaxPool2d, Mean, Shape, TensorRecord, Window};

impl<const LINKS: Links> NodeCheck<'_, LINKS> {
    pub(super) fn max_pool2d(&self, op: &MaxPool2d) -> Result<(), LoadError> {
        let input = self.input(op.input)?;
        self.pooled(&op.window, &input)?;
        self.same_codes(&input)?;
        self.activation(op.activation)
    }

    pub(super) fn average_pool2d(&self, op: &AveragePool2d<'_>) -> Result<(), LoadError> {
        let input = self.input(op.input)?;
        self.pooled(&op.window, &input)?;
        self.activation(op.activation)?;
        if op.multipliers.is_empty() {
            self.same_codes(&input)?;
            return self.fits(0, input.element.max_abs() * op.window.taps() as i64);
        }
        self.require(op.multipliers.len() == 4 * op.window.taps(), NodeFault::BlobLength)?;
        for count in 1..=op.window.taps() {
            self.reciprocal(&input, count as u64, op.multiplier(count).unwrap_or(0), op.right_shift)?;
        }
        Ok(())
    }

    pub(super) fn mean(&self, op: &Mean) -> Result<(), LoadError> {
        let input = self.input(op.input)?;
        let count = self.averaged(op.axes, input.shape)?;
        self.reciprocal(&input, count, op.multiplier, op.right_shift)?;
        self.activation(op.activation)
    }

    /// The sum of `count` codes above zero, shifted left, stays in 32 bits. Spec 4.25.
    pub(super) fn affine_mean(&self, op: &AffineMean) -> Result<(), LoadError> {
        let input = self.input(op.input)?;
        let bytes = input.element != Element::I16 && self.output.element != Element::I16;
        self.require(bytes, NodeFault::Element)?;
        let count = self.averaged(op.axes, input.shape)?;
        self.require((op.input_zero, op.output.zero) == (input.zero, self.output.zero), NodeFault::Scheme)?;
        self.require(op.output.multiplier >= 0 && (-31..=30).contains(&op.output.shift), NodeFault::Shift)?;
        let sum = i64::try_from(count).unwrap_or(i64::MAX).saturating_mul(255);
        self.fits(0, sum.saturating_mul(1 << op.output.shift.max(0)))?;
        self.activation(op.activation)
    }

    /// The number of codes that each mean is over; the output has one for each.
    fn averaged(&self, axes: u8, input: Shape) -> Result<u64, LoadError> {
        self.require((1..=7).contains(&axes), NodeFault::Axis)?;
        let Shape { h, w, c } = input.along(axes);
        let quotient = |len: u16, averaged: u16| len.checked_div(averaged).unwrap_or(0);
        self.shaped(Some(Shape { h: quotient(input.h, h), w: quotient(input.w, w), c: quotient(input.c, c) }))?;
        Ok(u64::from(h) * u64::from(w) * u64::from(c))
    }

    /// A dense window over each channel by itself.
    fn pooled(&self, window: &Window, input: &TensorRecord) -> Result<(), LoadError> {
        self.require(window.is_dense(), NodeFault::Window)?;
        self.windowed(window, input.shape)?;
        self.require(self.output.shape.c == input.shape.c, NodeFault::Shape)
    }

    /// A sum of `count` codes stays in 32 bits. Spec 4.5.
    fn reciprocal(&self, input: &TensorRecord, count: u64, multiplier: i32, right_shift: i8) -> Result<(), LoadError> {
        self.powers_of_two(input)?;
        self.require(multiplier >= 1 && (0..=MAX_SHIFT).contains(&right_shift), NodeFault::Shift)?;
        let count = i64::try_from(count).unwrap_or(i64::MAX);
        self.fits(0, input.element.max_abs().saturating_mul(count))
    }
}
