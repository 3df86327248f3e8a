//! The checks of [`crate::Model::parse`]: after them, running cannot fail.

use crate::arithmetic::{MAX_ABS_CODE, MAX_SHIFT, rounding};
use crate::error::{LoadError, NodeFault, TensorFault};
use crate::format::{
    Activation, Add, Clip, Conv2d, FullyConnected, GlobalAveragePool, MaxPool2d, Node, Op, Shape, TensorRecord,
    Weights, Window,
};
use crate::model::Model;

/// Greatest alignment shift of an addition: two operands and the rounding constant stay in an i32.
const MAX_ALIGN_SHIFT: u8 = 22;

/// How many tensors may be live at one node, its output included.
pub const MAX_LIVE_TENSORS: usize = 32;

/// Checks the whole model.
pub(crate) fn verify(model: &Model<'_>) -> Result<(), LoadError> {
    if model.tensor_count() != model.node_count() + 1 {
        return Err(tensor_fault(0, TensorFault::Count));
    }
    tensors_fit(model)?;
    let mut nodes = model.nodes();
    for (index, node) in nodes.by_ref().enumerate() {
        verify_node(model, index, &node)?;
    }
    if nodes.remaining() != 0 {
        return Err(LoadError::Malformed);
    }
    if !nodes.rest().is_empty() {
        let trailing = u32::try_from(nodes.rest().len()).unwrap_or(u32::MAX);
        return Err(LoadError::TrailingBytes(trailing));
    }
    live_tensors_are_disjoint(model)
}

/// Every tensor has codes, and all of them lie in the arena.
fn tensors_fit(model: &Model<'_>) -> Result<(), LoadError> {
    for index in 0..model.tensor_count() {
        let record = model.tensor(index).ok_or(LoadError::Malformed)?;
        let end = (record.offset as usize).checked_add(record.shape.len());
        let fault = if record.shape.is_empty() {
            TensorFault::Empty
        } else if record.reserved != 0 {
            TensorFault::Reserved
        } else if end.is_none_or(|end| end > model.arena_bytes()) {
            TensorFault::OutsideArena
        } else {
            continue;
        };
        return Err(tensor_fault(index, fault));
    }
    Ok(())
}

/// No byte belongs to two tensors while both are live, but for the operators that work in place.
///
/// A tensor is live from the node that writes it to its last use, both included.
fn live_tensors_are_disjoint(model: &Model<'_>) -> Result<(), LoadError> {
    if usize::from(model.output().last_use) != model.node_count() {
        return Err(tensor_fault(model.node_count(), TensorFault::OutputNotKept));
    }
    let mut live = heapless::Vec::<(usize, TensorRecord), MAX_LIVE_TENSORS>::new();
    enter(&mut live, 0, model.input())?;
    for (writer, node) in model.nodes().enumerate() {
        let output = model.tensor(writer + 1).ok_or(LoadError::Malformed)?;
        let clash = live
            .iter()
            .find(|(index, other)| overlap(other, &output) && !in_place(&node, writer, *index, other, &output));
        if let Some((index, _)) = clash {
            return Err(tensor_fault(writer + 1, TensorFault::Overlaps(narrow(*index))));
        }
        live.retain(|(_, tensor)| usize::from(tensor.last_use) > writer);
        enter(&mut live, writer + 1, output)?;
    }
    Ok(())
}

/// Adds a tensor to the live ones.
fn enter(
    live: &mut heapless::Vec<(usize, TensorRecord), MAX_LIVE_TENSORS>,
    index: usize,
    tensor: TensorRecord,
) -> Result<(), LoadError> {
    live.push((index, tensor)).map_err(|_| tensor_fault(index, TensorFault::TooManyLive))
}

/// True when two tensors share a byte of the arena.
fn overlap(a: &TensorRecord, b: &TensorRecord) -> bool {
    let (a, b) = (a.region(), b.region());
    a.start < b.end && b.start < a.end
}

/// True when `node` may write its output over tensor `index`, which it reads for the last time.
fn in_place(node: &Node<'_>, writer: usize, index: usize, input: &TensorRecord, output: &TensorRecord) -> bool {
    let allowed = match node.op {
        Op::Clip(op) => usize::from(op.input) == index,
        Op::Add(op) => usize::from(op.a) == index && op.a != op.b,
        _ => false,
    };
    allowed && usize::from(input.last_use) == writer && input.region() == output.region()
}

/// Checks one node against the tensors it reads and writes.
fn verify_node(model: &Model<'_>, index: usize, node: &Node<'_>) -> Result<(), LoadError> {
    let output = model.tensor(index + 1).ok_or(LoadError::Malformed)?;
    let check = NodeCheck { model, index, output };
    match &node.op {
        Op::Conv2d(op) => check.conv2d(op),
        Op::DepthwiseConv2d(op) => check.depthwise_conv2d(op),
        Op::FullyConnected(op) => check.fully_connected(op),
        Op::MaxPool2d(op) => check.max_pool2d(op),
        Op::GlobalAveragePool(op) => check.global_average_pool(op),
        Op::Add(op) => check.add(op),
        Op::Clip(op) => check.clip(op),
    }
}

/// One node under test.
struct NodeCheck<'m> {
    model: &'m Model<'m>,
    index: usize,
    output: TensorRecord,
}

impl NodeCheck<'_> {
    fn conv2d(&self, op: &Conv2d<'_>) -> Result<(), LoadError> {
        let input = self.input(op.input)?;
        self.windowed(&op.window, input.shape)?;
        let filter_len = product(&[op.window.kernel_h.into(), op.window.kernel_w.into(), input.shape.c]);
        self.weighted(&op.weights, op.activation, filter_len, false)
    }

    fn depthwise_conv2d(&self, op: &Conv2d<'_>) -> Result<(), LoadError> {
        let input = self.input(op.input)?;
        self.windowed(&op.window, input.shape)?;
        self.require(self.output.shape.c.is_multiple_of(input.shape.c), NodeFault::Shape)?;
        let filter_len = product(&[op.window.kernel_h.into(), op.window.kernel_w.into()]);
        self.weighted(&op.weights, op.activation, filter_len, true)
    }

    fn fully_connected(&self, op: &FullyConnected<'_>) -> Result<(), LoadError> {
        let input = self.input(op.input)?;
        self.require((self.output.shape.h, self.output.shape.w) == (1, 1), NodeFault::Shape)?;
        self.weighted(&op.weights, op.activation, Some(input.shape.len()), false)
    }

    fn max_pool2d(&self, op: &MaxPool2d) -> Result<(), LoadError> {
        let input = self.input(op.input)?;
        self.windowed(&op.window, input.shape)?;
        self.require(self.output.shape.c == input.shape.c, NodeFault::Shape)?;
        self.require(self.output.exponent == input.exponent, NodeFault::Exponent)?;
        self.activation(op.activation)
    }

    fn global_average_pool(&self, op: &GlobalAveragePool) -> Result<(), LoadError> {
        let input = self.input(op.input)?;
        let expected = Shape { h: 1, w: 1, c: input.shape.c };
        self.require(self.output.shape == expected, NodeFault::Shape)?;
        self.require(op.multiplier >= 1 && (0..=MAX_SHIFT).contains(&op.right_shift), NodeFault::Shift)?;
        let area = i64::from(input.shape.h) * i64::from(input.shape.w);
        let bound = (MAX_ABS_CODE * area).saturating_mul(op.multiplier.into());
        self.fits(0, bound.saturating_add(rounding(op.right_shift).into()))?;
        self.activation(op.activation)
    }

    fn add(&self, op: &Add) -> Result<(), LoadError> {
        let (a, b) = (self.input(op.a)?, self.input(op.b)?);
        self.require(a.shape == self.output.shape && b.shape == a.shape, NodeFault::Shape)?;
        let aligned = op.a_shift <= MAX_ALIGN_SHIFT && op.b_shift <= MAX_ALIGN_SHIFT;
        self.require(aligned && shift_in_range(op.right_shift), NodeFault::Shift)?;
        let common = i16::from(a.exponent) - i16::from(op.a_shift);
        let consistent = common == i16::from(b.exponent) - i16::from(op.b_shift)
            && i16::from(self.output.exponent) - common == i16::from(op.right_shift);
        self.require(consistent, NodeFault::Exponent)?;
        self.activation(op.activation)
    }

    fn clip(&self, op: &Clip) -> Result<(), LoadError> {
        let input = self.input(op.input)?;
        self.require(input.shape == self.output.shape, NodeFault::Shape)?;
        self.require(input.exponent == self.output.exponent, NodeFault::Exponent)?;
        self.activation(op.activation)
    }

    /// The record of a tensor that this node reads.
    fn input(&self, tensor: u16) -> Result<TensorRecord, LoadError> {
        self.require(usize::from(tensor) <= self.index, NodeFault::Input)?;
        let record = self.model.tensor(tensor.into()).ok_or(LoadError::Malformed)?;
        self.require(usize::from(record.last_use) >= self.index, NodeFault::UseAfterLastUse)?;
        Ok(record)
    }

    /// The output's rows and columns are what the window gives.
    fn windowed(&self, window: &Window, input: Shape) -> Result<(), LoadError> {
        let size = window.output_size(input.h, input.w);
        self.require(size.is_some(), NodeFault::Window)?;
        self.require(size == Some((self.output.shape.h, self.output.shape.w)), NodeFault::Shape)
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

    /// `bound` can be held by an accumulator. Spec 2.2.
    fn fits(&self, channel: usize, bound: i64) -> Result<(), LoadError> {
        if bound <= i64::from(i32::MAX) {
            return Ok(());
        }
        Err(LoadError::AccumulatorOverflow { node: narrow(self.index), channel: narrow(channel) })
    }

    fn activation(&self, activation: Activation) -> Result<(), LoadError> {
        self.require(activation.min <= activation.max, NodeFault::Activation)
    }

    fn require(&self, condition: bool, reason: NodeFault) -> Result<(), LoadError> {
        if condition { Ok(()) } else { Err(node_fault(self.index, reason)) }
    }
}

fn shift_in_range(right_shift: i8) -> bool {
    (-MAX_SHIFT..=MAX_SHIFT).contains(&right_shift)
}

fn sum_of_magnitudes<'a>(codes: impl Iterator<Item = &'a i8>) -> i64 {
    codes.map(|code| i64::from(code.unsigned_abs())).sum()
}

fn product(extents: &[u16]) -> Option<usize> {
    extents.iter().try_fold(1_usize, |len, extent| len.checked_mul((*extent).into()))
}

fn tensor_fault(tensor: usize, reason: TensorFault) -> LoadError {
    LoadError::Tensor { tensor: narrow(tensor), reason }
}

fn node_fault(node: usize, reason: NodeFault) -> LoadError {
    LoadError::Node { node: narrow(node), reason }
}

/// An index for an error message.
fn narrow(index: usize) -> u16 {
    u16::try_from(index).unwrap_or(u16::MAX)
}
