//! What a layer's weights are made into, before it runs for the first time.

use super::affine_binary::Combination;
use super::byte_depthwise::ByteDepthwise;
use super::conv2d::Convolution;
use super::depthwise::Depthwise;
use super::ending::Ending;
use super::filters;
use super::instruction_set::InstructionSet;
use super::tile::{BYTE_PIXELS, PIXELS};
use super::winograd::Winograd;
use crate::format::{Element, Op, Packing, TensorRecord, WeightBits, Weights};

/// What codes that are read as bytes without a sign are more than they are.
const fn byte_offset(element: Element) -> i16 {
    match element {
        Element::I8 => 128,
        Element::U8 | Element::I16 => 0,
    }
}

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
    /// For instructions that multiply bytes.
    ByteDepthwise(ByteDepthwise, Ending),
    AffineBinary(Combination),
}

impl Prepared {
    /// For an instruction set.
    pub(super) fn new(
        set: InstructionSet,
        op: &Op<'_>,
        [input, other]: [&TensorRecord; 2],
        output: &TensorRecord,
    ) -> Self {
        let lanes = set.lanes();
        if op.weights().is_some_and(|weights| weights.packing != Packing::Plain) {
            return Self::Portable;
        }
        let bytes = |weights: &Weights<'_>| {
            set.has_bytes() && input.element != Element::I16 && weights.bits != WeightBits::Sixteen
        };
        let elements = (input.element, output.element);
        let offset = i32::from(byte_offset(input.element));
        match op {
            Op::Conv2d(op) => {
                let filter_len = op.window.taps() * usize::from(input.shape.c) / usize::from(op.groups).max(1);
                let codes = filters::codes(&op.weights, filter_len * usize::from(output.shape.c));
                let ending = |offset| {
                    let filters = codes.chunks(filter_len.max(1)).map(<[i16]>::iter);
                    Ending::new((lanes, op.groups.into()), &op.weights, filters, elements, offset, op.activation)
                };
                if bytes(&op.weights) {
                    let convolution = Convolution::new((lanes, BYTE_PIXELS), op, &codes, input.shape.c, output.shape.c);
                    return Self::Bytes(convolution, ending(offset));
                }
                if let Some(winograd) = Winograd::new(lanes, op, &codes, input, output.shape) {
                    return Self::Winograd(winograd, ending(0));
                }
                let convolution = Convolution::new((lanes, PIXELS), op, &codes, input.shape.c, output.shape.c);
                Self::Convolution(convolution, ending(0))
            }
            Op::FullyConnected(op) => {
                let (in_len, out_ch) = (input.shape.len(), output.shape.c.into());
                let codes = filters::codes(&op.weights, in_len * out_ch);
                let ending = |offset| {
                    let filters = codes.chunks(in_len.max(1)).map(<[i16]>::iter);
                    Ending::new((lanes, 1), &op.weights, filters, elements, offset, op.activation)
                };
                if bytes(&op.weights) {
                    let convolution = Convolution::of_fully_connected(lanes, &codes, input.shape, out_ch);
                    return Self::Bytes(convolution, ending(offset));
                }
                Self::Convolution(Convolution::of_fully_connected(lanes, &codes, input.shape, out_ch), ending(0))
            }
            Op::DepthwiseConv2d(op) if input.shape.c == output.shape.c => {
                let channels = usize::from(input.shape.c);
                let codes = filters::codes(&op.weights, op.window.taps() * channels);
                let ending = |offset| {
                    let filters = (0..channels).map(|channel| codes.iter().skip(channel).step_by(channels));
                    Ending::new((lanes, 1), &op.weights, filters, elements, offset, op.activation)
                };
                if bytes(&op.weights) {
                    let depthwise = ByteDepthwise::new(lanes, op, &codes, channels);
                    return Self::ByteDepthwise(depthwise, ending(offset));
                }
                Self::Depthwise(Depthwise::new(op, &codes), ending(0))
            }
            Op::AffineBinary(op) if input.element != Element::I16 && other.element != Element::I16 => {
                Self::AffineBinary(Combination::new(op, [input.element, other.element]))
            }
            Op::Binary(_) | Op::MaxPool2d(_) => Self::Weightless,
            // Sums of 8 bits, which the loader asks for in the affine scheme alone.
            Op::AveragePool2d(op) if !op.multipliers.is_empty() || input.element != Element::I16 => Self::Weightless,
            Op::Mean(op) if output.shape.c == input.shape.c && input.shape.along(op.axes).c == 1 => Self::Weightless,
            _ => Self::Portable,
        }
    }
}
