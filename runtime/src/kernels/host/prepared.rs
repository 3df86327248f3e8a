//! What a layer's weights are made into, before it runs for the first time.

use super::conv2d::Convolution;
use super::depthwise::Depthwise;
use super::ending::Ending;
use super::filters;
use super::instruction_set::InstructionSet;
use super::winograd::Winograd;
use crate::format::{Element, Op, Packing, TensorRecord, WeightBits, Weights};

/// A layer, ready for the host's kernels.
#[derive(Debug)]
pub(super) enum Prepared {
    /// The portable kernel runs it.
    Portable,
    /// It has no weights.
    Weightless,
    Convolution(Convolution<i16, 2>, Ending),
    /// For instructions that multiply bytes.
    Bytes(Convolution<i8, 4>, Ending),
    Winograd(Winograd, Ending),
    Depthwise(Depthwise, Ending),
}

impl Prepared {
    /// For an instruction set.
    pub(super) fn new(set: InstructionSet, op: &Op<'_>, input: &TensorRecord, output: &TensorRecord) -> Self {
        let lanes = set.lanes();
        if op.weights().is_some_and(|weights| weights.packing != Packing::Plain) {
            return Self::Portable;
        }
        let bytes = |weights: &Weights<'_>| {
            set.has_bytes() && input.element != Element::I16 && weights.bits != WeightBits::Sixteen
        };
        match op {
            Op::Conv2d(op) => {
                let ending = Ending::new(&op.weights, op.activation, output.element);
                if bytes(&op.weights) {
                    let count = op.window.taps() * usize::from(input.shape.c) / usize::from(op.groups).max(1);
                    let ending = of_bytes(ending, input.element, &op.weights, count);
                    return Self::Bytes(Convolution::new(lanes, op, input.shape, output.shape), ending);
                }
                match Winograd::new(lanes, op, input, output.shape) {
                    Some(winograd) => Self::Winograd(winograd, ending),
                    None => Self::Convolution(Convolution::new(lanes, op, input.shape, output.shape), ending),
                }
            }
            Op::FullyConnected(op) => {
                let ending = Ending::new(&op.weights, op.activation, output.element);
                let (in_len, out_ch) = (input.shape.len(), output.shape.c.into());
                if bytes(&op.weights) {
                    let ending = of_bytes(ending, input.element, &op.weights, in_len);
                    return Self::Bytes(Convolution::of_fully_connected(lanes, op, in_len, out_ch), ending);
                }
                Self::Convolution(Convolution::of_fully_connected(lanes, op, in_len, out_ch), ending)
            }
            Op::DepthwiseConv2d(op) if input.shape.c == output.shape.c => {
                let ending = Ending::new(&op.weights, op.activation, output.element);
                Self::Depthwise(Depthwise::new(op, input.shape.c.into()), ending)
            }
            Op::Binary(_) | Op::AffineBinary(_) | Op::MaxPool2d(_) => Self::Weightless,
            Op::AveragePool2d(op) if !op.multipliers.is_empty() => Self::Weightless,
            Op::Mean(op) if output.shape.c == input.shape.c && input.shape.along(op.axes).c == 1 => Self::Weightless,
            _ => Self::Portable,
        }
    }
}

/// The ending of a layer whose codes are read as bytes without a sign.
fn of_bytes(ending: Ending, input: Element, weights: &Weights<'_>, filter_len: usize) -> Ending {
    let offset = if input == Element::I8 { 128 } else { 0 };
    let codes = filters::codes(weights, filter_len * ending.channels());
    ending.without_offset(offset, &codes)
}
