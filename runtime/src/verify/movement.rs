//! Operators that move codes.

use super::node::NodeCheck;
use crate::error::{LoadError, NodeFault};
use crate::format::{
    Concat, Links, Pad, PatchInput, PatchOutput, Reshape, Shape, Slice, Store, Stream, TensorRecord, Transpose,
    UpsampleBilinear, UpsampleNearest,
};

/// Greatest number of tensors that one node reads.
const MAX_INPUTS: usize = 16;

/// Fraction bits of a bilinear mean: weights of 9, 3, 3 and 1 sixteenth. Spec 4.18.
const BILINEAR_BITS: i16 = 4;

impl<const LINKS: Links> NodeCheck<'_, LINKS> {
    pub(super) fn concat(&self, op: &Concat<'_>) -> Result<(), LoadError> {
        let count = op.right_shifts.len();
        self.require((1..=MAX_INPUTS).contains(&count) && op.inputs.len() == 2 * count, NodeFault::BlobLength)?;
        self.require(op.axis < 3, NodeFault::Axis)?;
        let axis = usize::from(op.axis);
        let whole = extents(self.output.shape);
        let mut along = 0;
        for (tensor, right_shift) in op.operands() {
            let input = self.input(tensor)?;
            self.joins(&input, right_shift)?;
            let mut own = extents(input.shape);
            if let (Some(len), Some(all)) = (own.get_mut(axis), whole.get(axis)) {
                along += *len;
                *len = *all;
            }
            self.require(own == whole, NodeFault::Shape)?;
        }
        self.require(whole.get(axis) == Some(&along), NodeFault::Shape)?;
        self.activation(op.activation)
    }

    pub(super) fn slice(&self, op: &Slice) -> Result<(), LoadError> {
        let input = self.input(op.input)?;
        self.same_codes(&input)?;
        self.require(box_fits(op.start, self.output.shape, input.shape), NodeFault::Shape)
    }

    pub(super) fn pad(&self, op: &Pad) -> Result<(), LoadError> {
        let input = self.input(op.input)?;
        self.same_codes(&input)?;
        let code = self.output.element.min() <= op.value && op.value <= self.output.element.max();
        self.require(code, NodeFault::Activation)?;
        self.require(box_fits(op.before, input.shape, self.output.shape), NodeFault::Shape)
    }

    pub(super) fn reshape(&self, op: &Reshape) -> Result<(), LoadError> {
        let input = self.input(op.input)?;
        self.same_codes(&input)?;
        self.require(input.shape.len() == self.output.shape.len(), NodeFault::Shape)
    }

    pub(super) fn transpose(&self, op: &Transpose) -> Result<(), LoadError> {
        let input = self.input(op.input)?;
        self.same_codes(&input)?;
        let mut seen = [false; 3];
        for axis in op.order {
            match seen.get_mut(usize::from(axis)) {
                Some(seen) if !*seen => *seen = true,
                _ => return self.require(false, NodeFault::Axis),
            }
        }
        let own = extents(input.shape);
        let ordered = op.order.map(|axis| own.get(usize::from(axis)).copied().unwrap_or(0));
        self.require(ordered == extents(self.output.shape), NodeFault::Shape)
    }

    pub(super) fn upsample_nearest(&self, op: &UpsampleNearest) -> Result<(), LoadError> {
        let input = self.input(op.input)?;
        self.same_codes(&input)?;
        self.shaped(doubled(input.shape))
    }

    pub(super) fn upsample_bilinear(&self, op: &UpsampleBilinear) -> Result<(), LoadError> {
        let input = self.input(op.input)?;
        self.shaped(doubled(input.shape))?;
        self.shifted(&input, i16::from(input.exponent) - BILINEAR_BITS, op.right_shift)?;
        self.activation(op.activation)
    }

    /// A tensor and its state are of one kind, and so is what the store writes.
    pub(super) fn store(&self, op: &Store) -> Result<(), LoadError> {
        let (input, state) = (self.input(op.input)?, self.input(op.state)?);
        let is_state = self.kept.iter().any(|entry| entry.is_state && entry.tensor == op.state);
        self.require(is_state, NodeFault::State)?;
        self.require(state.region() == self.output.region(), NodeFault::State)?;
        for tensor in [input, state] {
            self.shaped(Some(tensor.shape))?;
            self.same_codes(&tensor)?;
        }
        Ok(())
    }

    pub(super) fn stream(&self, op: &Stream) -> Result<(), LoadError> {
        let input = self.input(op.input)?;
        self.same_codes(&input)?;
        let Shape { h, w, c } = self.output.shape;
        self.require(input.shape.h <= h && (input.shape.w, input.shape.c) == (w, c), NodeFault::Shape)
    }

    /// A stage's first node; the rest of the stage was checked when it was entered.
    pub(super) fn patch_input(&self, op: &PatchInput) -> Result<(), LoadError> {
        let input = self.input(op.input)?;
        self.same_codes(&input)?;
        self.shaped(Some(input.shape))
    }

    /// A stage's last node.
    pub(super) fn patch_output(&self, op: &PatchOutput) -> Result<(), LoadError> {
        self.require(self.stage.is_some_and(|stage| stage.last == self.index), NodeFault::Stage)?;
        let input = self.input(op.input)?;
        self.same_codes(&input)?;
        self.shaped(Some(input.shape))
    }

    /// Codes of an input of a concatenation: moved as they are, or brought from exponent to exponent.
    fn joins(&self, input: &TensorRecord, right_shift: i8) -> Result<(), LoadError> {
        if !input.is_power_of_two() {
            self.require(right_shift == 0, NodeFault::Shift)?;
            return self.same_codes(input);
        }
        self.shifted(input, input.exponent.into(), right_shift)
    }
}

fn extents(shape: Shape) -> [u32; 3] {
    [shape.h, shape.w, shape.c].map(u32::from)
}

/// A box of the shape `inner`, from `start` on, lies in `outer`.
fn box_fits(start: [u16; 3], inner: Shape, outer: Shape) -> bool {
    let ends = start.map(u32::from).into_iter().zip(extents(inner)).map(|(start, len)| start + len);
    ends.zip(extents(outer)).all(|(end, len)| end <= len)
}

fn doubled(shape: Shape) -> Option<Shape> {
    Some(Shape { h: shape.h.checked_mul(2)?, w: shape.w.checked_mul(2)?, c: shape.c })
}
