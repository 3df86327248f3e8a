//! What fast kernels leave to slower ones: told of a model when it is exported, so that a program which embeds a model
//! without such cases links no slower kernel for them.

use super::dsp::{self, End};
use super::mve;
use crate::arena::apart;
use crate::format::{
    Activation, AveragePool2d, Binary, Case, Conv2d, DepthwiseConv2d, Detail, Element, Epilogue, Links, Mean, Op,
    Packing, TensorRecord, WeightBits, Weights, Window,
};

/// The bits of a node's cases.
///
/// tensor  the record of an input
/// output  the record of what the node writes
pub(crate) fn cases(op: &Op<'_>, tensor: impl Fn(u16) -> TensorRecord, output: &TensorRecord) -> Links {
    let common = match op {
        Op::Conv2d(op) => {
            let tiles = if op.weights.packing.is_paired() { tiles(op, output) } else { 0 };
            return end(&op.weights, op.activation, output) | tiles;
        }
        // Parts of a tensor have rows and columns of their own.
        Op::PatchInput(_) => return Case::Remainder.bit() | Case::Operator.bit(),
        Op::FullyConnected(op) => return end(&op.weights, op.activation, output),
        // A window that lies in the padding has an end of its own.
        Op::DepthwiseConv2d(op) if op.weights.packing.is_paired() => return Case::End.bit(),
        Op::Mean(op) => is_common_mean(op, &tensor(op.input), output),
        Op::Binary(op) => {
            let elements = [tensor(op.a).element, tensor(op.b).element, output.element];
            output.shape.len().is_multiple_of(4) && is_common_sum(op, elements)
        }
        Op::AveragePool2d(op) => is_common_pool(op, &tensor(op.input), output),
        Op::AffineBinary(op) => {
            let [a, b] = [op.input_a, op.input_b].map(|input| tensor(input).element);
            output.shape.len().is_multiple_of(4)
                && op.input_a != op.input_b
                && a == output.element
                && b == a
                && dsp::has_affine_sum(op, a)
        }
        _ => true,
    };
    if common { 0 } else { Case::Operator.bit() }
}

/// The bits of a node's [`Detail`]s.
///
/// input   the record of what a window slides down
/// output  of what the node writes
pub(crate) const fn details(op: &Op<'_>, input: &TensorRecord, output: &TensorRecord) -> Links {
    let windows = match op.sliding() {
        Some((_, window)) => window_details(window, input, output),
        None => 0,
    };
    let kernel = match op {
        Op::Conv2d(op) => rest_detail(&op.weights, op.activation, output),
        Op::FullyConnected(op) => column_detail(&op.weights) | rest_detail(&op.weights, op.activation, output),
        Op::DepthwiseConv2d(op) => depthwise_detail(op, input, output),
        _ => 0,
    };
    end_details(op, output.element) | own_details(op) | windows | kernel
}

/// Of what accumulators end in, and of widths.
const fn end_details(op: &Op<'_>, output: Element) -> Links {
    let (activation, weights) = match op {
        Op::Conv2d(op) => (op.activation, Some((&op.weights, Some(Detail::WideTiles)))),
        Op::DepthwiseConv2d(op) => (op.activation, Some((&op.weights, None))),
        Op::FullyConnected(op) => (op.activation, Some((&op.weights, Some(Detail::WideColumn)))),
        Op::Binary(op) => (op.activation, None),
        Op::AffineBinary(op) => (op.activation, None),
        _ => return 0,
    };
    let saturate = match dsp::saturate(activation, output) {
        End::Signed8 => Detail::Signed8.bit(),
        End::Unsigned7 => Detail::Unsigned7.bit(),
        End::Unsigned8 => Detail::Unsigned8.bit(),
        End::Accumulators => 0,
    };
    let Some((weights, wide)) = weights else { return saturate };
    let wide = match (wide, weights.bits) {
        (Some(wide), WeightBits::Sixteen) => wide.bit(),
        _ => 0,
    };
    let scratch = if weights.scratch.bytes != 0 { Detail::Scratch.bit() } else { 0 };
    saturate | shift_detail(weights) | wide | scratch
}

/// Of one operator alone.
const fn own_details(op: &Op<'_>) -> Links {
    match op {
        Op::Conv2d(op) => {
            let groups = if op.groups == 1 { 0 } else { Detail::Groups.bit() };
            groups | padding_detail(&op.window, &op.weights, Detail::Padding)
        }
        Op::DepthwiseConv2d(op) => padding_detail(&op.window, &op.weights, Detail::DepthwisePadding),
        Op::AveragePool2d(op) => {
            let quarter = if op.window.taps() == 4 { Detail::Quarter.bit() } else { 0 };
            quarter | if op.multipliers.is_empty() { 0 } else { Detail::Reciprocal.bit() }
        }
        Op::TransposeConv2d(op) => shift_detail(&op.weights),
        Op::AffineSoftmax(op) if op.scale().is_some() => Detail::Exponentials.bit(),
        // Windows of patches are cut while the program runs.
        Op::PatchInput(_) => Detail::Edge.bit() | BY_PIXELS,
        _ => 0,
    }
}

/// A window that lies in the padding has an end of its own.
const BY_PIXELS: Links = Detail::DepthwisePixels.bit() | Detail::SlowEnd.bit();

/// Of a layer for `SMLAD` that does not run by strips: those need all of both tensors.
const fn depthwise_detail(op: &DepthwiseConv2d<'_>, input: &TensorRecord, output: &TensorRecord) -> Links {
    let (x, y) = (input.region(), output.region());
    let in_place = x.start == y.start && x.end == y.end && dsp::in_place(output.shape.c as usize);
    let by_strips = (apart(&x, &y) || in_place) && dsp::runs_by_strips(op, output);
    if !op.weights.packing.is_paired() {
        return 0;
    }
    let last = if output.shape.c.is_multiple_of(4) { 0 } else { Detail::LastQuad.bit() };
    last | if by_strips { 0 } else { BY_PIXELS }
}

const fn shift_detail(weights: &Weights<'_>) -> Links {
    match &weights.epilogue {
        Epilogue::Shift(_) => Detail::Shift.bit(),
        Epilogue::Multiply(multiply) if all_to_the_right(multiply.shifts) => 0,
        Epilogue::Multiply(_) => Detail::LeftShift.bit(),
    }
}

/// The shift of a multiplier is to the right in every channel.
const fn all_to_the_right(shifts: &[u8]) -> bool {
    let mut rest = shifts;
    while let [first, others @ ..] = rest {
        if first.cast_signed() >= 0 {
            return false;
        }
        rest = others;
    }
    true
}

/// Of where windows lie.
const fn window_details(window: &Window, input: &TensorRecord, output: &TensorRecord) -> Links {
    let dilation = if window.dilation_h == 1 && window.dilation_w == 1 { 0 } else { Detail::Dilation.bit() };
    let overlap = if apart(&input.region(), &output.region()) { 0 } else { Detail::Overlap.bit() };
    let rows = has_edge(output.shape.h, window.stride_h, window.kernel_h, window.dilation_h, input.shape.h);
    let columns = has_edge(output.shape.w, window.stride_w, window.kernel_w, window.dilation_w, input.shape.w);
    let edge = if window.pad_top == 0 && window.pad_left == 0 && !rows && !columns { 0 } else { Detail::Edge.bit() };
    dilation | overlap | edge
}

/// Along one axis, the last window of unpadded ones reaches over the end.
const fn has_edge(outputs: u16, stride: u8, kernel: u8, dilation: u8, input_len: u16) -> bool {
    let last = (outputs as u32).saturating_sub(1) * stride as u32;
    last + (kernel as u32).saturating_sub(1) * dilation as u32 >= input_len as u32
}

/// `detail` where a window meets padding that contributes to a sum.
const fn padding_detail(window: &Window, weights: &Weights<'_>, detail: Detail) -> Links {
    let pads = window.pad_top | window.pad_bottom | window.pad_left | window.pad_right;
    if pads == 0 || weights.epilogue.input_zero() == 0 { 0 } else { detail.bit() }
}

/// [`Case::End`], unless the loops that multiply tiles have the end of all channels.
const fn end(weights: &Weights<'_>, activation: Activation, output: &TensorRecord) -> Links {
    if rest_detail(weights, activation, output) == 0 { 0 } else { Case::End.bit() }
}

/// What the loops that multiply tiles leave of a layer's channels.
const fn rest_detail(weights: &Weights<'_>, activation: Activation, output: &TensorRecord) -> Links {
    let is_winograd = matches!(weights.packing, Packing::Winograd);
    if !weights.packing.is_paired() && !is_winograd {
        return 0;
    }
    match (dsp::has_end(weights, activation, output.element), output.shape.c.is_multiple_of(2)) {
        (true, true) => 0,
        (true, false) if !is_winograd => Detail::OddEnd.bit(),
        _ => Detail::SlowEnd.bit(),
    }
}

/// Whether the inputs of a fully connected layer are widened to a column.
const fn column_detail(weights: &Weights<'_>) -> Links {
    match (weights.packing.is_paired(), weights.scratch.bytes) {
        (false, _) => 0,
        (true, 0) => Detail::NoColumn.bit(),
        (true, _) => Detail::Column.bit(),
    }
}

/// What tiles of four pixels leave, and columns with gaps.
fn tiles(op: &Conv2d<'_>, output: &TensorRecord) -> Links {
    let remainder = if output.shape.w.is_multiple_of(4) { 0 } else { Case::Remainder.bit() };
    let dilation = if op.window.dilation_w == 1 { 0 } else { Case::Dilation.bit() };
    remainder | dilation
}

/// Every core's fast kernels have the sum.
fn is_common_sum(op: &Binary, elements: [Element; 3]) -> bool {
    op.a != op.b && dsp::has_sum(op, elements) && mve::has_sum(op, elements)
}

/// Every core's fast kernels have the mean.
fn is_common_mean(op: &Mean, input: &TensorRecord, output: &TensorRecord) -> bool {
    let elements = [input.element, output.element];
    dsp::has_mean(op, input.shape.c, elements) && mve::has_mean(op, input.shape, elements)
}

/// Fast kernels have the mean over a window.
fn is_common_pool(op: &AveragePool2d<'_>, input: &TensorRecord, output: &TensorRecord) -> bool {
    dsp::has_average_pool(op, input.shape.c, [input.element, output.element])
}
