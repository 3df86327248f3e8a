//! What a layer's weights are made into, before it runs for the first time.

use super::conv2d::Convolution;
use super::depthwise::Depthwise;
use super::ending::Ending;
use super::winograd::Winograd;
use crate::format::{Op, Packing, TensorRecord};

/// A layer, ready for the host's kernels.
#[derive(Debug)]
pub(super) enum Prepared {
    /// The portable kernel runs it.
    Portable,
    /// It has no weights.
    Weightless,
    Convolution(Convolution, Ending),
    Winograd(Winograd, Ending),
    Depthwise(Depthwise, Ending),
}

impl Prepared {
    /// For vectors of `lanes` accumulators.
    pub(super) fn new(lanes: usize, op: &Op<'_>, input: &TensorRecord, output: &TensorRecord) -> Self {
        if op.weights().is_some_and(|weights| weights.packing != Packing::Plain) {
            return Self::Portable;
        }
        match op {
            Op::Conv2d(op) => {
                let ending = Ending::new(&op.weights, op.activation, output.element);
                match Winograd::new(lanes, op, input, output.shape) {
                    Some(winograd) => Self::Winograd(winograd, ending),
                    None => Self::Convolution(Convolution::new(lanes, op, input.shape, output.shape), ending),
                }
            }
            Op::FullyConnected(op) => {
                let ending = Ending::new(&op.weights, op.activation, output.element);
                let (in_len, out_ch) = (input.shape.len(), output.shape.c.into());
                Self::Convolution(Convolution::of_fully_connected(lanes, op, in_len, out_ch), ending)
            }
            Op::DepthwiseConv2d(op) if input.shape.c == output.shape.c => {
                let ending = Ending::new(&op.weights, op.activation, output.element);
                Self::Depthwise(Depthwise::new(op, input.shape.c.into()), ending)
            }
            Op::Binary(_) | Op::MaxPool2d(_) => Self::Weightless,
            Op::AveragePool2d(op) if !op.multipliers.is_empty() => Self::Weightless,
            Op::Mean(op) if output.shape.c == input.shape.c && input.shape.along(op.axes).c == 1 => Self::Weightless,
            _ => Self::Portable,
        }
    }
}
