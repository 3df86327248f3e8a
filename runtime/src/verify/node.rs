//! One node against the tensors that it reads and writes.

use super::stages::Inside;
use super::{Kept, narrow, node_fault};
use crate::arithmetic::MAX_SHIFT;
use crate::error::{LoadError, NodeFault};
use crate::format::{Activation, Case, Links, Op, OperatorKind, Shape, TensorRecord, Window};
use crate::model::Model;

/// Checks one node.
pub(super) fn verify<const LINKS: Links>(
    model: &Model<'_, LINKS>,
    kept: &Kept,
    stage: Option<&Inside>,
    index: usize,
    op: &Op<'_>,
) -> Result<(), LoadError> {
    let output = model.tensor(index + 1).ok_or(LoadError::Malformed)?;
    let output = stage.map_or(output, |stage| stage.whole(index + 1, output));
    let check = NodeCheck { model, kept, stage, index, output };
    let links =
        if cfg!(target_os = "none") && Case::all_in(LINKS) { op.links_but_cases() } else { links(model, op, &output) };
    check.require(links & !model.links() == 0, NodeFault::Operator)?;
    match op {
        Op::Conv2d(op) if OperatorKind::Conv2d.is_in(LINKS) => check.conv2d(op),
        Op::DepthwiseConv2d(op) if OperatorKind::DepthwiseConv2d.is_in(LINKS) => check.depthwise_conv2d(op),
        Op::TransposeConv2d(op) if OperatorKind::TransposeConv2d.is_in(LINKS) => check.transpose_conv2d(op),
        Op::FullyConnected(op) if OperatorKind::FullyConnected.is_in(LINKS) => check.fully_connected(op),
        Op::MaxPool2d(op) if OperatorKind::MaxPool2d.is_in(LINKS) => check.max_pool2d(op),
        Op::AveragePool2d(op) if OperatorKind::AveragePool2d.is_in(LINKS) => check.average_pool2d(op),
        Op::Mean(op) if OperatorKind::Mean.is_in(LINKS) => check.mean(op),
        Op::Binary(op) if OperatorKind::Binary.is_in(LINKS) => check.binary(op),
        Op::Clip(op) if OperatorKind::Clip.is_in(LINKS) => check.clip(op),
        Op::Rescale(op) if OperatorKind::Rescale.is_in(LINKS) => check.rescale(op),
        Op::LeakyRelu(op) if OperatorKind::LeakyRelu.is_in(LINKS) => check.leaky_relu(op),
        Op::Table(op) if OperatorKind::Table.is_in(LINKS) => check.table(op),
        Op::Softmax(op) if OperatorKind::Softmax.is_in(LINKS) => check.softmax(op),
        Op::Concat(op) if OperatorKind::Concat.is_in(LINKS) => check.concat(op),
        Op::Slice(op) if OperatorKind::Slice.is_in(LINKS) => check.slice(op),
        Op::Pad(op) if OperatorKind::Pad.is_in(LINKS) => check.pad(op),
        Op::Reshape(op) if OperatorKind::Reshape.is_in(LINKS) => check.reshape(op),
        Op::Transpose(op) if OperatorKind::Transpose.is_in(LINKS) => check.transpose(op),
        Op::UpsampleNearest(op) if OperatorKind::UpsampleNearest.is_in(LINKS) => check.upsample_nearest(op),
        Op::UpsampleBilinear(op) if OperatorKind::UpsampleBilinear.is_in(LINKS) => check.upsample_bilinear(op),
        Op::Argmax(op) if OperatorKind::Argmax.is_in(LINKS) => check.argmax(op),
        Op::AffineBinary(op) if OperatorKind::AffineBinary.is_in(LINKS) => check.affine_binary(op),
        Op::State(_) if OperatorKind::State.is_in(LINKS) => Ok(()),
        Op::Store(op) if OperatorKind::Store.is_in(LINKS) => check.store(op),
        Op::Stream(op) if OperatorKind::Stream.is_in(LINKS) => check.stream(op),
        Op::PatchInput(op) if OperatorKind::PatchInput.is_in(LINKS) => check.patch_input(op),
        Op::PatchOutput(op) if OperatorKind::PatchOutput.is_in(LINKS) => check.patch_output(op),
        Op::AffineMean(op) if OperatorKind::AffineMean.is_in(LINKS) => check.affine_mean(op),
        Op::AffineSoftmax(op) if OperatorKind::AffineSoftmax.is_in(LINKS) => check.affine_softmax(op),
        _ => Err(node_fault(index, NodeFault::Operator)),
    }
}

#[inline(never)]
fn links<const LINKS: Links>(model: &Model<'_, LINKS>, op: &Op<'_>, output: &TensorRecord) -> u64 {
    op.links(|tensor| model.tensor(tensor.into()).unwrap_or(TensorRecord::EMPTY), output)
}

/// One node under test.
pub(super) struct NodeCheck<'m, const LINKS: Links> {
    pub(super) model: &'m Model<'m, LINKS>,
    pub(super) kept: &'m Kept,
    /// The stage that the node is in.
    pub(super) stage: Option<&'m Inside>,
    pub(super) index: usize,
    pub(super) output: TensorRecord,
}

impl<const LINKS: Links> NodeCheck<'_, LINKS> {
    /// The record of a tensor that this node reads; inside a stage, as if the tensor were whole.
    pub(super) fn input(&self, tensor: u16) -> Result<TensorRecord, LoadError> {
        self.require(usize::from(tensor) <= self.index, NodeFault::Input)?;
        let record = self.model.tensor(tensor.into()).ok_or(LoadError::Malformed)?;
        self.require(usize::from(record.last_use) >= self.index, NodeFault::UseAfterLastUse)?;
        let Some(stage) = self.stage else { return Ok(record) };
        self.require(stage.may_read(self.index, tensor.into()), NodeFault::Stage)?;
        Ok(stage.whole(tensor.into(), record))
    }

    /// The output's shape is `shape`.
    pub(super) fn shaped(&self, shape: Option<Shape>) -> Result<(), LoadError> {
        self.require(shape == Some(self.output.shape), NodeFault::Shape)
    }

    /// The output's rows and columns are what the window gives.
    pub(super) fn windowed(&self, window: &Window, input: Shape) -> Result<(), LoadError> {
        self.sized(window.output_size(input.h, input.w))
    }

    /// The output's rows and columns are `size`; without one the window does not fit.
    pub(super) fn sized(&self, size: Option<(u16, u16)>) -> Result<(), LoadError> {
        self.require(size.is_some(), NodeFault::Window)?;
        self.require(size == Some((self.output.shape.h, self.output.shape.w)), NodeFault::Shape)
    }

    /// Input and output share one element and one step.
    pub(super) fn same_codes(&self, input: &TensorRecord) -> Result<(), LoadError> {
        self.require(input.element == self.output.element, NodeFault::Element)?;
        let step = |tensor: &TensorRecord| (tensor.exponent, tensor.mantissa, tensor.zero);
        self.require(step(input) == step(&self.output), NodeFault::Exponent)
    }

    /// Input and output have steps that are powers of two.
    pub(super) fn powers_of_two(&self, input: &TensorRecord) -> Result<(), LoadError> {
        self.require(input.is_power_of_two() && self.output.is_power_of_two(), NodeFault::Scheme)
    }

    /// `right_shift` takes accumulators of an input, at exponent `accumulator`, to the output's exponent. Spec 3.1.
    pub(super) fn shifted(&self, input: &TensorRecord, accumulator: i16, right_shift: i8) -> Result<(), LoadError> {
        self.powers_of_two(input)?;
        self.require(shift_in_range(right_shift), NodeFault::Shift)?;
        let distance = i16::from(self.output.exponent) - accumulator;
        self.require(distance == i16::from(right_shift), NodeFault::Exponent)
    }

    /// `bound` can be held by an accumulator. Spec 2.2.
    pub(super) fn fits(&self, channel: usize, bound: i64) -> Result<(), LoadError> {
        if bound <= i64::from(i32::MAX) {
            return Ok(());
        }
        Err(LoadError::AccumulatorOverflow { node: narrow(self.index), channel: narrow(channel) })
    }

    pub(super) fn activation(&self, activation: Activation) -> Result<(), LoadError> {
        let Activation { min, max } = activation;
        let element = self.output.element;
        self.require(element.min() <= min && min <= max && max <= element.max(), NodeFault::Activation)
    }

    pub(super) fn require(&self, condition: bool, reason: NodeFault) -> Result<(), LoadError> {
        if condition { Ok(()) } else { Err(self.fault(reason)) }
    }

    pub(super) fn fault(&self, reason: NodeFault) -> LoadError {
        node_fault(self.index, reason)
    }
}

pub(super) fn shift_in_range(right_shift: i8) -> bool {
    (-MAX_SHIFT..=MAX_SHIFT).contains(&right_shift)
}
