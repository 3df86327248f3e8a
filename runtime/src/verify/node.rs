//! One node against the tensors that it reads and writes.

use super::{narrow, node_fault};
use crate::arithmetic::MAX_SHIFT;
use crate::error::{LoadError, NodeFault};
use crate::format::{Activation, Node, Op, OperatorKind, Shape, TensorRecord, Window};
use crate::model::Model;

/// Checks one node.
pub(super) fn verify<const OPERATORS: u32>(
    model: &Model<'_, OPERATORS>,
    index: usize,
    node: &Node<'_>,
) -> Result<(), LoadError> {
    let output = model.tensor(index + 1).ok_or(LoadError::Malformed)?;
    let check = NodeCheck { model, index, output };
    check.require(node.op.kind().is_in(model.operators()), NodeFault::Operator)?;
    match &node.op {
        Op::Conv2d(op) if OperatorKind::Conv2d.is_in(OPERATORS) => check.conv2d(op),
        Op::DepthwiseConv2d(op) if OperatorKind::DepthwiseConv2d.is_in(OPERATORS) => check.depthwise_conv2d(op),
        Op::TransposeConv2d(op) if OperatorKind::TransposeConv2d.is_in(OPERATORS) => check.transpose_conv2d(op),
        Op::FullyConnected(op) if OperatorKind::FullyConnected.is_in(OPERATORS) => check.fully_connected(op),
        Op::MaxPool2d(op) if OperatorKind::MaxPool2d.is_in(OPERATORS) => check.max_pool2d(op),
        Op::AveragePool2d(op) if OperatorKind::AveragePool2d.is_in(OPERATORS) => check.average_pool2d(op),
        Op::GlobalAveragePool(op) if OperatorKind::GlobalAveragePool.is_in(OPERATORS) => check.global_average_pool(op),
        Op::Binary(op) if OperatorKind::Binary.is_in(OPERATORS) => check.binary(op),
        Op::Clip(op) if OperatorKind::Clip.is_in(OPERATORS) => check.clip(op),
        Op::Rescale(op) if OperatorKind::Rescale.is_in(OPERATORS) => check.rescale(op),
        Op::LeakyRelu(op) if OperatorKind::LeakyRelu.is_in(OPERATORS) => check.leaky_relu(op),
        Op::Table(op) if OperatorKind::Table.is_in(OPERATORS) => check.table(op),
        Op::Softmax(op) if OperatorKind::Softmax.is_in(OPERATORS) => check.softmax(op),
        Op::Concat(op) if OperatorKind::Concat.is_in(OPERATORS) => check.concat(op),
        Op::Slice(op) if OperatorKind::Slice.is_in(OPERATORS) => check.slice(op),
        Op::Pad(op) if OperatorKind::Pad.is_in(OPERATORS) => check.pad(op),
        Op::Reshape(op) if OperatorKind::Reshape.is_in(OPERATORS) => check.reshape(op),
        Op::Transpose(op) if OperatorKind::Transpose.is_in(OPERATORS) => check.transpose(op),
        Op::UpsampleNearest(op) if OperatorKind::UpsampleNearest.is_in(OPERATORS) => check.upsample_nearest(op),
        Op::UpsampleBilinear(op) if OperatorKind::UpsampleBilinear.is_in(OPERATORS) => check.upsample_bilinear(op),
        _ => Err(node_fault(index, NodeFault::Operator)),
    }
}

/// One node under test.
pub(super) struct NodeCheck<'m, const OPERATORS: u32> {
    pub(super) model: &'m Model<'m, OPERATORS>,
    pub(super) index: usize,
    pub(super) output: TensorRecord,
}

impl<const OPERATORS: u32> NodeCheck<'_, OPERATORS> {
    /// The record of a tensor that this node reads.
    pub(super) fn input(&self, tensor: u16) -> Result<TensorRecord, LoadError> {
        self.require(usize::from(tensor) <= self.index, NodeFault::Input)?;
        let record = self.model.tensor(tensor.into()).ok_or(LoadError::Malformed)?;
        self.require(usize::from(record.last_use) >= self.index, NodeFault::UseAfterLastUse)?;
        Ok(record)
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

    /// Input and output share one exponent.
    pub(super) fn same_exponent(&self, input: &TensorRecord) -> Result<(), LoadError> {
        self.require(input.exponent == self.output.exponent, NodeFault::Exponent)
    }

    /// `right_shift` takes accumulators at exponent `accumulator` to the output's exponent. Spec 3.1.
    pub(super) fn shifted(&self, accumulator: i16, right_shift: i8) -> Result<(), LoadError> {
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
        self.require(activation.min <= activation.max, NodeFault::Activation)
    }

    pub(super) fn require(&self, condition: bool, reason: NodeFault) -> Result<(), LoadError> {
        if condition { Ok(()) } else { Err(node_fault(self.index, reason)) }
    }
}

pub(super) fn shift_in_range(right_shift: i8) -> bool {
    (-MAX_SHIFT..=MAX_SHIFT).contains(&right_shift)
}
