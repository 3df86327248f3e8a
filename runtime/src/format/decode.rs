//! Decodes nodes, of the operators alone that a program links.

use serde::Deserialize;

use super::{Node, Op, OperatorKind};

/// Decodes one node; what is behind it is returned too. `None` for an operator that is not in `LINKS`.
pub(crate) fn take_node<const LINKS: u64>(bytes: &[u8]) -> Option<(Node<'_>, &[u8])> {
    let (name, rest) = take(bytes)?;
    let (index, rest) = take::<u32>(rest)?;
    let (op, rest) = take_op::<LINKS>(index, rest)?;
    Some((Node { name, op }, rest))
}

/// One arm for each operator: those that are not linked are constants to the compiler, and gone with all they call.
fn take_op<const LINKS: u64>(index: u32, bytes: &[u8]) -> Option<(Op<'_>, &[u8])> {
    let is = |kind: OperatorKind| kind.is_in(LINKS) && index == kind as u32;
    if is(OperatorKind::Conv2d) {
        return variant(bytes, Op::Conv2d);
    }
    if is(OperatorKind::DepthwiseConv2d) {
        return variant(bytes, Op::DepthwiseConv2d);
    }
    if is(OperatorKind::TransposeConv2d) {
        return variant(bytes, Op::TransposeConv2d);
    }
    if is(OperatorKind::FullyConnected) {
        return variant(bytes, Op::FullyConnected);
    }
    if is(OperatorKind::MaxPool2d) {
        return variant(bytes, Op::MaxPool2d);
    }
    if is(OperatorKind::AveragePool2d) {
        return variant(bytes, Op::AveragePool2d);
    }
    if is(OperatorKind::Mean) {
        return variant(bytes, Op::Mean);
    }
    if is(OperatorKind::Binary) {
        return variant(bytes, Op::Binary);
    }
    if is(OperatorKind::Clip) {
        return variant(bytes, Op::Clip);
    }
    if is(OperatorKind::Rescale) {
        return variant(bytes, Op::Rescale);
    }
    if is(OperatorKind::LeakyRelu) {
        return variant(bytes, Op::LeakyRelu);
    }
    if is(OperatorKind::Table) {
        return variant(bytes, Op::Table);
    }
    if is(OperatorKind::Softmax) {
        return variant(bytes, Op::Softmax);
    }
    if is(OperatorKind::Concat) {
        return variant(bytes, Op::Concat);
    }
    if is(OperatorKind::Slice) {
        return variant(bytes, Op::Slice);
    }
    if is(OperatorKind::Pad) {
        return variant(bytes, Op::Pad);
    }
    if is(OperatorKind::Reshape) {
        return variant(bytes, Op::Reshape);
    }
    if is(OperatorKind::Transpose) {
        return variant(bytes, Op::Transpose);
    }
    if is(OperatorKind::UpsampleNearest) {
        return variant(bytes, Op::UpsampleNearest);
    }
    if is(OperatorKind::UpsampleBilinear) {
        return variant(bytes, Op::UpsampleBilinear);
    }
    if is(OperatorKind::Argmax) {
        return variant(bytes, Op::Argmax);
    }
    if is(OperatorKind::AffineBinary) {
        return variant(bytes, Op::AffineBinary);
    }
    if is(OperatorKind::State) {
        return variant(bytes, Op::State);
    }
    if is(OperatorKind::Store) {
        return variant(bytes, Op::Store);
    }
    if is(OperatorKind::Stream) {
        return variant(bytes, Op::Stream);
    }
    None
}

fn variant<'a, T: Deserialize<'a>>(bytes: &'a [u8], make: impl FnOnce(T) -> Op<'a>) -> Option<(Op<'a>, &'a [u8])> {
    take(bytes).map(|(fields, rest)| (make(fields), rest))
}

fn take<'a, T: Deserialize<'a>>(bytes: &'a [u8]) -> Option<(T, &'a [u8])> {
    postcard::take_from_bytes(bytes).ok()
}
