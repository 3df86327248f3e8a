//! The checks of [`crate::Model::parse`]: after them, running cannot fail.

mod convolutions;
mod elementwise;
mod movement;
mod node;
mod pools;

use crate::error::{LoadError, NodeFault, TensorFault};
use crate::format::{Certificate, Node, Op, TensorRecord};
use crate::model::Model;

/// How many tensors may be live at one node, its output included.
pub const MAX_LIVE_TENSORS: usize = 32;

/// Checks the whole model; its certificate, which lies behind the nodes.
pub(crate) fn verify<'a, const LINKS: u64>(model: &Model<'a, LINKS>) -> Result<Option<Certificate<'a>>, LoadError> {
    if model.tensor_count() != model.node_count() + 1 {
        return Err(tensor_fault(0, TensorFault::Count));
    }
    tensors_fit(model)?;
    let mut nodes = model.nodes();
    for (index, node) in nodes.by_ref().enumerate() {
        node::verify(model, index, &node)?;
    }
    if nodes.remaining() != 0 {
        return Err(LoadError::Malformed);
    }
    live_tensors_are_disjoint(model)?;
    kept_tensors_are_alone(model)?;
    certificate(model, nodes.rest())
}

/// The last part of the file.
fn certificate<'a, const LINKS: u64>(
    model: &Model<'a, LINKS>,
    bytes: &'a [u8],
) -> Result<Option<Certificate<'a>>, LoadError> {
    let (certificate, rest): (Option<Certificate<'a>>, _) =
        postcard::take_from_bytes(bytes).map_err(|_| LoadError::Malformed)?;
    if !rest.is_empty() {
        return Err(LoadError::TrailingBytes(u32::try_from(rest.len()).unwrap_or(u32::MAX)));
    }
    let (input_len, digests_len) = (model.input().bytes(), model.node_count().saturating_mul(4));
    let fits = |found: &Certificate<'_>| found.input.len() == input_len && found.digests.len() == digests_len;
    if certificate.as_ref().is_none_or(fits) { Ok(certificate) } else { Err(LoadError::Certificate) }
}

/// Every tensor has codes, and all of them lie in the arena.
fn tensors_fit<const LINKS: u64>(model: &Model<'_, LINKS>) -> Result<(), LoadError> {
    for index in 0..model.tensor_count() {
        let record = model.tensor(index).ok_or(LoadError::Malformed)?;
        let end = (record.offset as usize).checked_add(record.bytes());
        let codes = record.element.min()..=record.element.max();
        let fault = if record.shape.is_empty() {
            TensorFault::Empty
        } else if !record.element.is_in(model.links()) {
            TensorFault::Element
        } else if record.mantissa == 0 || !codes.contains(&record.zero) {
            TensorFault::Scale
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
fn live_tensors_are_disjoint<const LINKS: u64>(model: &Model<'_, LINKS>) -> Result<(), LoadError> {
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

/// No byte of a tensor that keeps its contents between runs belongs to another, but for what is stored into it.
fn kept_tensors_are_alone<const LINKS: u64>(model: &Model<'_, LINKS>) -> Result<(), LoadError> {
    for (writer, node) in model.nodes().enumerate() {
        if !matches!(node.op, Op::State(_) | Op::Stream(_)) {
            continue;
        }
        let kept = model.tensor(writer + 1).ok_or(LoadError::Malformed)?;
        let stores = |node: Option<Node<'_>>| match node.map(|node| node.op) {
            Some(Op::Store(op)) => usize::from(op.state) == writer + 1,
            _ => false,
        };
        let mut writers = core::iter::once(None).chain(model.nodes().map(Some));
        for index in 0..model.tensor_count() {
            let stored = stores(writers.next().flatten());
            let other = model.tensor(index).ok_or(LoadError::Malformed)?;
            if index != writer + 1 && !stored && overlap(&kept, &other) {
                return Err(tensor_fault(index, TensorFault::Overlaps(narrow(writer + 1))));
            }
        }
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
    let slides = match &node.op {
        Op::Conv2d(op) => Some((op.input, &op.window)),
        Op::DepthwiseConv2d(op) => Some((op.input, &op.window)),
        Op::MaxPool2d(op) => Some((op.input, &op.window)),
        Op::AveragePool2d(op) => Some((op.input, &op.window)),
        _ => None,
    };
    if let Some((operand, window)) = slides {
        let (from, to) = (input.region().start, output.region().start);
        let distance = window.row_distance(input.shape.h, input.row_bytes(), output.shape.h, output.row_bytes());
        let passed = from.checked_sub(to).is_some_and(|below| below >= distance);
        return usize::from(operand) == index && usize::from(input.last_use) == writer && passed;
    }
    let operand = match node.op {
        Op::Clip(op) => op.input,
        Op::Rescale(op) => op.input,
        Op::LeakyRelu(op) => op.input,
        Op::Table(op) => op.input,
        Op::Softmax(op) => op.input,
        Op::Reshape(op) => op.input,
        Op::Binary(op) if op.a != op.b => op.a,
        Op::AffineBinary(op) if op.input_a != op.input_b => op.input_a,
        Op::Store(op) => op.state,
        _ => return false,
    };
    usize::from(operand) == index && usize::from(input.last_use) == writer && input.region() == output.region()
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
