//! Layers that accumulate products.

use super::node::{NodeCheck, shift_in_range};
use crate::arithmetic::MAX_ABS_CODE;
use crate::error::{LoadError, NodeFault};
use crate::format::{Activation, Conv2d, DepthwiseConv2d, FullyConnected, TransposeConv2d, Weights};

impl<const OPERATORS: u32> NodeCheck<'_, OPERATORS> {
    pub(super) fn conv2d(&self, op: &Conv2d<'_>) -> Result<(), LoadError> {
        let input = self.input(op.input)?;
        self.windowed(&op.window, input.shape)?;
        let divides =
            op.groups > 0 && input.shape.c.is_multiple_of(op.groups) && self.output.shape.c.is_multiple_of(op.groups);
        self.require(divides, NodeFault::Groups)?;
        let in_ch = input.shape.c.checked_div(op.groups).unwrap_or(0);
        let filter_len = op.window.taps().checked_mul(in_ch.into());
        self.weighted(&op.weights, op.activation, filter_len, false)
    }

    pub(super) fn depthwise_conv2d(&self, op: &DepthwiseConv2d<'_>) -> Result<(), LoadError> {
        let input = self.input(op.input)?;
        self.windowed(&op.window, input.shape)?;
        self.require(self.output.shape.c.is_multiple_of(input.shape.c), NodeFault::Shape)?;
        self.weighted(&op.weights, op.activation, Some(op.window.taps()), true)
    }

    pub(super) fn transpose_conv2d(&self, op: &TransposeConv2d<'_>) -> Result<(), LoadError> {
        let input = self.input(op.input)?;
        self.sized(op.window.transposed_size(input.shape.h, input.shape.w))?;
        let filter_len = op.window.taps().checked_mul(input.shape.c.into());
        self.weighted(&op.weights, op.activation, filter_len, false)
    }

    pub(super) fn fully_connected(&self, op: &FullyConnected<'_>) -> Result<(), LoadError> {
        let input = self.input(op.input)?;
        self.require((self.output.shape.h, self.output.shape.w) == (1, 1), NodeFault::Shape)?;
        self.weighted(&op.weights, op.activation, Some(input.shape.len()), false)
    }

    /// Lengths, shifts and accumulator bounds of a layer with weights. Spec 2.2.
    fn weighted(
        &self,
        weights: &Weights<'_>,
        activation: Activation,
        filter_len: Option<usize>,
        interleaved: bool,
    ) -> Result<(), LoadError> {
        self.activation(activation)?;
        let out_ch = usize::from(self.output.shape.c);
        let expected = filter_len.and_then(|len| len.checked_mul(out_ch));
        let lengths = expected == Some(weights.codes.len())
            && weights.bias.len() == 4 * out_ch
            && weights.right_shift.len() == out_ch;
        self.require(lengths, NodeFault::BlobLength)?;
        let filter_len = filter_len.unwrap_or(1);
        for (oc, channel) in weights.channels().enumerate() {
            self.require(shift_in_range(channel.right_shift), NodeFault::Shift)?;
            let magnitude = if interleaved {
                sum_of_magnitudes(weights.codes().iter().skip(oc).step_by(out_ch.max(1)))
            } else {
                let filter = weights.codes().get(oc * filter_len..).unwrap_or_default();
                sum_of_magnitudes(filter.iter().take(filter_len))
            };
            self.fits(oc, magnitude * MAX_ABS_CODE + i64::from(channel.bias).abs())?;
        }
        Ok(())
    }
}

fn sum_of_magnitudes<'a>(codes: impl Iterator<Item = &'a i8>) -> i64 {
    codes.map(|code| i64::from(code.unsigned_abs())).sum()
}
