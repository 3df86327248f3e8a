//! The checks of [`crate::Model::parse`]: after them, running cannot fail.

mod convolutions;
mod elementwise;
mod movement;
mod node;
mod pools;
mod stages;

use core::ops::Range;

use crate::error::{LoadError, NodeFault, TensorFault};
use crate::format::{Certificate, KEEPING_OPERATORS, Links, Needs, Op, OperatorKind, Packing, Reader, TensorRecord};
use crate::kernels::{dsp, mve};
use crate::model::{Model, Position};
use stages::Inside;

/// How many tensors may be live at one node, its output included.
pub const MAX_LIVE_TENSORS: usize = 32;

/// Checks the whole model, and the certificate, which lies behind the nodes.
#[inline(never)]
pub(crate) fn verify<const LINKS: Links>(model: &Model<'_, LINKS>) -> Result<(), LoadError> {
    if model.tensor_count() != model.node_count() + 1 {
        return Err(tensor_fault(0, TensorFault::Count));
    }
    tensors_fit(model)?;
    let kept = kept_tensors(model)?;
    let mut position = Position::START;
    let (mut needed, mut steps) = (0_u64, model.node_count() as u32);
    let mut inside: Option<Inside> = None;
    for index in 0.. {
        let at = position;
        let mut place = model.undecoded();
        let Some(op) = model.read(&mut position, &mut place) else { break };
        inside = inside.filter(|stage| stage.last >= index);
        if let Op::PatchInput(op) = op
            && OperatorKind::PatchInput.is_in(LINKS)
            && inside.is_none()
        {
            let stage = Inside::enter(model, op, at)?;
            needed = needed.saturating_add(stage.operations);
            steps = steps.saturating_add(stage.further_steps());
            inside = Some(stage);
        }
        node::verify(model, &kept, inside.as_ref(), index, op)?;
        if inside.is_none() {
            let shape = |tensor: usize| model.tensor(tensor).map_or(TensorRecord::EMPTY.shape, |tensor| tensor.shape);
            needed = needed.saturating_add(op.operations(|input| shape(input.into()), shape(index + 1)));
        }
        if !model.name(index, &place).is_text() {
            return Err(LoadError::Malformed);
        }
    }
    if usize::from(position.index) != model.node_count() {
        return Err(LoadError::Malformed);
    }
    let stated = model.operations();
    if needed > stated {
        return Err(LoadError::Operations { needed, stated });
    }
    live_tensors_are_disjoint(model)?;
    kept_tensors_are_alone(model, &kept)?;
    certificate(model, steps, model.behind(position))
}

/// The last part of the file.
fn certificate<const LINKS: Links>(model: &Model<'_, LINKS>, steps: u32, bytes: &[u8]) -> Result<(), LoadError> {
    let mut reader = Reader::new(bytes);
    let certificate = Certificate::read(&mut reader);
    if reader.failed {
        return Err(LoadError::Malformed);
    }
    if !reader.rest.is_empty() {
        return Err(LoadError::TrailingBytes(u32::try_from(reader.rest.len()).unwrap_or(u32::MAX)));
    }
    let (input_len, digests_len) = (model.input().bytes(), (steps as usize).saturating_mul(4));
    let fits = |found: &Certificate<'_>| found.input.len() == input_len && found.digests.len() == digests_len;
    if certificate.as_ref().is_none_or(fits) { Ok(()) } else { Err(LoadError::Certificate) }
}

/// Every tensor has codes, and all of them lie in the arena.
fn tensors_fit<const LINKS: Links>(model: &Model<'_, LINKS>) -> Result<(), LoadError> {
    let Needs { arena_bytes, links, .. } = model.needs();
    for index in 0..model.tensor_count() {
        let record = model.tensor(index).ok_or(LoadError::Malformed)?;
        let end = (record.offset as usize).checked_add(record.bytes());
        let codes = record.element.min()..=record.element.max();
        let fault = if record.shape.is_empty() {
            TensorFault::Empty
        } else if !record.element.is_in(links.into()) {
            TensorFault::Element
        } else if record.mantissa == 0 || !codes.contains(&record.zero) {
            TensorFault::Scale
        } else if end.is_none_or(|end| end > arena_bytes as usize) {
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
/// A tensor is live from the node that writes it to its last use, both included; what a stage writes, from the stage's
/// first node on.
fn live_tensors_are_disjoint<const LINKS: Links>(model: &Model<'_, LINKS>) -> Result<(), LoadError> {
    if usize::from(model.output().last_use) != model.node_count() {
        return Err(tensor_fault(model.node_count(), TensorFault::OutputNotKept));
    }
    let mut live = heapless::Vec::<u16, MAX_LIVE_TENSORS>::new();
    enter(&mut live, 0)?;
    let record = |index: u16| model.tensor(index.into()).unwrap_or(TensorRecord::EMPTY);
    let mut end = None;
    let tensor_bytes = model.tensor_bytes();
    let mut position = Position::START;
    for writer in 0.. {
        let mut place = model.undecoded();
        let Some(op) = model.read(&mut position, &mut place) else { break };
        if let Some(last) = stages::end::<LINKS>(writer, op) {
            is_apart(model, &live, last + 1, |_, _, _| false)?;
            enter(&mut live, last + 1)?;
            end = Some(last);
        }
        // What a stage writes has been live since it began.
        let is_end = end == Some(writer);
        if !is_end {
            let in_stage = end.is_some();
            is_apart(model, &live, writer + 1, |index, other, output| {
                in_place::<LINKS>(op, writer, index, other, output, in_stage)
            })?;
        }
        let scratch = op.scratch().region();
        let output = record(narrow(writer + 1));
        let taken = |tensor: &TensorRecord| !scratch.is_empty() && shares(&tensor.region(), &scratch);
        if scratch.end > tensor_bytes || taken(&output) || live.iter().any(|index| taken(&record(*index))) {
            return Err(node_fault(writer, NodeFault::Scratch));
        }
        live.retain(|index| usize::from(record(*index).last_use) > writer);
        if is_end { end = None } else { enter(&mut live, writer + 1)? }
    }
    Ok(())
}

/// A tensor shares no byte with those that are live, but as `may_share` allows.
fn is_apart<const LINKS: Links>(
    model: &Model<'_, LINKS>,
    live: &[u16],
    tensor: usize,
    may_share: impl Fn(u16, &TensorRecord, &TensorRecord) -> bool,
) -> Result<(), LoadError> {
    let output = model.tensor(tensor).ok_or(LoadError::Malformed)?;
    let clash = live.iter().find(|index| {
        let other = model.tensor(usize::from(**index)).unwrap_or(TensorRecord::EMPTY);
        overlap(&other, &output) && !may_share(**index, &other, &output)
    });
    clash.map_or(Ok(()), |index| Err(tensor_fault(tensor, TensorFault::Overlaps(*index))))
}

/// Tensors that keep their contents between runs.
type Kept = heapless::Vec<Kind, MAX_LIVE_TENSORS>;

/// One of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Kind {
    tensor: u16,
    /// A state, into which a store may write; not a stream.
    is_state: bool,
}

fn kept_tensors<const LINKS: Links>(model: &Model<'_, LINKS>) -> Result<Kept, LoadError> {
    let mut kept = Kept::new();
    if LINKS & KEEPING_OPERATORS == 0 {
        return Ok(kept);
    }
    for (writer, node) in model.nodes().enumerate() {
        let is_state = matches!(node.op, Op::State(_));
        if node.op.kind().is_in(KEEPING_OPERATORS) {
            let entry = Kind { tensor: narrow(writer + 1), is_state };
            kept.push(entry).map_err(|_| tensor_fault(writer + 1, TensorFault::TooManyLive))?;
        }
    }
    Ok(kept)
}

/// No byte of a tensor that keeps its contents between runs belongs to another, but for what is stored into it.
fn kept_tensors_are_alone<const LINKS: Links>(model: &Model<'_, LINKS>, kept: &Kept) -> Result<(), LoadError> {
    if LINKS & KEEPING_OPERATORS == 0 {
        return Ok(());
    }
    let writers = core::iter::once(None).chain(model.nodes().map(Some));
    for (index, writer) in writers.enumerate().filter(|_| !kept.is_empty()) {
        let tensor = model.tensor(index).ok_or(LoadError::Malformed)?;
        let scratch = writer.as_ref().map_or(0..0, |node| node.op.scratch().region());
        let stored_into = match writer.map(|node| node.op) {
            Some(Op::Store(op)) => usize::from(op.state),
            _ => index,
        };
        for other in kept.iter().map(|entry| usize::from(entry.tensor)) {
            let record = model.tensor(other).ok_or(LoadError::Malformed)?;
            if other != index && other != stored_into && overlap(&record, &tensor) {
                return Err(tensor_fault(index, TensorFault::Overlaps(narrow(other))));
            }
            if !scratch.is_empty() && shares(&record.region(), &scratch) {
                return Err(node_fault(index.saturating_sub(1), NodeFault::Scratch));
            }
        }
    }
    Ok(())
}

/// Adds a tensor to the live ones.
fn enter(live: &mut heapless::Vec<u16, MAX_LIVE_TENSORS>, index: usize) -> Result<(), LoadError> {
    live.push(narrow(index)).map_err(|_| tensor_fault(index, TensorFault::TooManyLive))
}

/// True when two tensors share a byte of the arena.
fn overlap(a: &TensorRecord, b: &TensorRecord) -> bool {
    shares(&a.region(), &b.region())
}

const fn shares(a: &Range<usize>, b: &Range<usize>) -> bool {
    a.start < b.end && b.start < a.end
}

/// True when a node may write its output over tensor `index`, which it reads for the last time. A window does not in a
/// stage, whose patches have paddings of their own.
fn in_place<const LINKS: Links>(
    op: &Op<'_>,
    writer: usize,
    index: u16,
    input: &TensorRecord,
    output: &TensorRecord,
    in_stage: bool,
) -> bool {
    if let Some((operand, window)) = op.sliding() {
        let (from, to) = (input.region().start, output.region().start);
        let distance = window.row_distance(input.shape.h, input.row_bytes(), output.shape.h, output.row_bytes());
        let passed = from.checked_sub(to).is_some_and(|below| below >= distance);
        let in_its_place = match op {
            Op::DepthwiseConv2d(op) if from == to && input.shape == output.shape => {
                Packing::paired_in(LINKS) && dsp::in_place(output.shape.c.into()) && dsp::runs_by_strips(op, output)
                    || Packing::Blocks.is_in(LINKS) && mve::runs_by_strips(op, output)
            }
            _ => false,
        };
        return operand == index && usize::from(input.last_use) == writer && (passed || in_its_place) && !in_stage;
    }
    let operand = match op {
        Op::Clip(op) => op.input,
        Op::Rescale(op) => op.input,
        Op::LeakyRelu(op) => op.input,
        Op::Table(op) => op.input,
        Op::Softmax(op) => op.input,
        Op::AffineSoftmax(op) => op.input,
        Op::Reshape(op) => op.input,
        Op::Binary(op) if op.a != op.b => op.a,
        Op::AffineBinary(op) if op.input_a != op.input_b => op.input_a,
        Op::Store(op) => op.state,
        _ => return false,
    };
    operand == index && usize::from(input.last_use) == writer && input.region() == output.region()
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
