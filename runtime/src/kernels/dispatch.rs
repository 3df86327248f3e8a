//! Which kernels run a layer: those of its weights' order; of a layer without weights, the first that have its case.

use super::{Bands, InOut, View, ViewMut, bytes, dsp, mve, portable, v6m};
use crate::codes::Codes;
use crate::format::{
    AffineBinary, AveragePool2d, Binary, Case, Conv2d, DepthwiseConv2d, Element, FullyConnected, Links, MaxPool2d,
    Mean, Op, OperatorKind, Packing,
};

/// Operators without weights take the kernels of the core; where there are no instructions of its own, those of the DSP
/// extension's twin, so that a host's tests run them.
const DSP: bool = cfg!(any(stepshift_backend = "dsp", not(target_os = "none")));

/// An operator whose window slides down a tensor, band by band: what kernels make of a layer's weights, they make before the first
/// band. Spec 4.1, 4.2, 4.4, 4.5.
pub fn slide<const LINKS: Links>(op: &Op<'_>, bands: &mut Bands<'_, LINKS>, scratch: &mut [u8]) {
    match op {
        Op::Conv2d(op) if OperatorKind::Conv2d.is_in(LINKS) => match op.weights.packing {
            packing if packing.is_paired_in::<LINKS>() => {
                return dsp::conv2d::<LINKS>(op, bands, scratch);
            }
            Packing::Blocks if Packing::Blocks.is_in(LINKS) => return mve::conv2d::<LINKS>(op, bands, scratch),
            _ => {}
        },
        Op::DepthwiseConv2d(op) if OperatorKind::DepthwiseConv2d.is_in(LINKS) => match op.weights.packing {
            packing if packing.is_paired_in::<LINKS>() => {
                return dsp::depthwise_conv2d::<LINKS>(op, bands, scratch);
            }
            Packing::Blocks if Packing::Blocks.is_in(LINKS) => {
                return mve::depthwise_conv2d::<LINKS>(op, bands, scratch);
            }
            _ => {}
        },
        _ => {}
    }
    bands.each(|x, y| match op {
        Op::Conv2d(op) if OperatorKind::Conv2d.is_in(LINKS) => conv2d::<LINKS>(op, x, y, scratch),
        Op::DepthwiseConv2d(op) if OperatorKind::DepthwiseConv2d.is_in(LINKS) => {
            depthwise_conv2d::<LINKS>(op, x, y, scratch);
        }
        Op::MaxPool2d(op) if OperatorKind::MaxPool2d.is_in(LINKS) => max_pool2d::<LINKS>(op, x, y),
        Op::AveragePool2d(op) if OperatorKind::AveragePool2d.is_in(LINKS) => average_pool2d::<LINKS>(op, x, y),
        _ => {}
    });
}

/// 2-D convolution. Spec 4.1.
fn conv2d<const LINKS: Links>(op: &Conv2d<'_>, x: View<'_>, y: ViewMut<'_>, scratch: &mut [u8]) {
    match op.weights.packing {
        Packing::Plain if Packing::Plain.is_in(LINKS) => portable::conv2d::<LINKS>(op, x, y),
        Packing::Fours if Packing::Fours.is_in(LINKS) => v6m::conv2d::<LINKS>(op, x, y, scratch),
        Packing::Winograd if Packing::Winograd.is_in(LINKS) => dsp::winograd::<LINKS>(op, x, y, scratch),
        // `Model::parse_linked` has refused the others.
        _ => {}
    }
}

/// Depthwise 2-D convolution. Spec 4.2.
fn depthwise_conv2d<const LINKS: Links>(op: &DepthwiseConv2d<'_>, x: View<'_>, y: ViewMut<'_>, scratch: &mut [u8]) {
    match op.weights.packing {
        Packing::Plain if Packing::Plain.is_in(LINKS) => portable::depthwise_conv2d::<LINKS>(op, x, y),
        Packing::Fours if Packing::Fours.is_in(LINKS) => v6m::depthwise_conv2d::<LINKS>(op, x, y, scratch),
        _ => {}
    }
}

/// Fully connected layer. Spec 4.3.
pub fn fully_connected<const LINKS: Links>(
    op: &FullyConnected<'_>,
    input: Codes<'_>,
    output: ViewMut<'_>,
    scratch: &mut [u8],
) {
    match op.weights.packing {
        Packing::Plain if Packing::Plain.is_in(LINKS) => portable::fully_connected::<LINKS>(op, input, output),
        packing if packing.is_paired_in::<LINKS>() => dsp::fully_connected::<LINKS>(op, input, output, scratch),
        Packing::Blocks if Packing::Blocks.is_in(LINKS) => mve::fully_connected::<LINKS>(op, input, output, scratch),
        Packing::Fours if Packing::Fours.is_in(LINKS) => v6m::fully_connected::<LINKS>(op, input, output),
        _ => {}
    }
}

/// Two tensors of one shape, code by code. Spec 4.6.
pub fn binary<const LINKS: Links>(op: &Binary, mut a_output: InOut<'_>, b: Option<View<'_>>) {
    #[cfg(stepshift_backend = "mve")]
    if mve::binary(op, &mut a_output, b.as_ref()) {
        return;
    }
    let done = DSP && dsp::binary::<LINKS>(op, &mut a_output, b.as_ref())
        || has_rest::<LINKS>() && bytes::binary(op, &mut a_output, b);
    if !done && Case::Operator.is_in(LINKS) {
        portable::binary(op, a_output, b);
    }
}

/// Kernels of the core's own instructions leave cases to those of bytes, or have none.
const fn has_rest<const LINKS: Links>() -> bool {
    Case::Operator.is_in(LINKS) || !DSP && !cfg!(stepshift_backend = "mve")
}

/// Two tensors of the affine scheme, code by code. Spec 4.20.
pub fn affine_binary<const LINKS: Links>(op: &AffineBinary, mut a_output: InOut<'_>, b: Option<View<'_>>) {
    #[cfg(stepshift_backend = "mve")]
    if mve::affine_binary(op, &mut a_output, b.as_ref()) {
        return;
    }
    let done = DSP && dsp::affine_binary::<LINKS>(op, &mut a_output, b.as_ref());
    if !done && (Case::Operator.is_in(LINKS) || !DSP) {
        portable::affine_binary(op, a_output, b);
    }
}

/// Mean over rows, columns, channels or several of them. Spec 4.5.
pub fn mean<const LINKS: Links>(op: &Mean, input: View<'_>, mut output: ViewMut<'_>) {
    #[cfg(stepshift_backend = "mve")]
    if mve::mean(op, &input, &mut output) {
        return;
    }
    let done = if DSP {
        dsp::mean::<LINKS>(op, &input, &mut output)
    } else {
        has_rest::<LINKS>() && bytes::mean(op, input, &mut output)
    };
    if !done && Case::Operator.is_in(LINKS) {
        portable::mean::<LINKS>(op, input, output);
    }
}

/// Maximum over a window. Spec 4.4.
fn max_pool2d<const LINKS: Links>(op: &MaxPool2d, input: View<'_>, mut output: ViewMut<'_>) {
    if !bytes::max_pool2d(op, input, &mut output) && Element::I16.is_in(LINKS) {
        portable::max_pool2d::<LINKS>(op, input, output);
    }
}

/// Mean over a window. Spec 4.5.
fn average_pool2d<const LINKS: Links>(op: &AveragePool2d<'_>, input: View<'_>, mut output: ViewMut<'_>) {
    #[cfg(stepshift_backend = "mve")]
    if mve::average_pool2d::<LINKS>(op, &input, &mut output) {
        return;
    }
    let done = DSP && dsp::average_pool2d::<LINKS>(op, &input, &mut output);
    if !done && (Case::Operator.is_in(LINKS) || !DSP) {
        portable::average_pool2d::<LINKS>(op, input, output);
    }
}
