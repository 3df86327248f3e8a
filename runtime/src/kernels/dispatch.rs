//! Which kernels run a layer: those of its weights' order.

use super::{View, ViewMut, dsp, portable};
use crate::format::{Conv2d, DepthwiseConv2d, FullyConnected, Packing};

/// 2-D convolution. Spec 4.1.
pub fn conv2d<const LINKS: u64>(op: &Conv2d<'_>, input: View<'_>, output: ViewMut<'_>, scratch: &mut [u8]) {
    match op.weights.packing {
        Packing::Plain if Packing::Plain.is_in(LINKS) => portable::conv2d::<LINKS>(op, input, output),
        Packing::Pairs if Packing::Pairs.is_in(LINKS) => dsp::conv2d::<LINKS>(op, input, output, scratch),
        // `Model::parse_linked` has refused the others.
        _ => {}
    }
}

/// Depthwise 2-D convolution. Spec 4.2.
pub fn depthwise_conv2d<const LINKS: u64>(op: &DepthwiseConv2d<'_>, input: View<'_>, output: ViewMut<'_>) {
    match op.weights.packing {
        Packing::Plain if Packing::Plain.is_in(LINKS) => portable::depthwise_conv2d::<LINKS>(op, input, output),
        Packing::Pairs if Packing::Pairs.is_in(LINKS) => dsp::depthwise_conv2d::<LINKS>(op, input, output),
        _ => {}
    }
}

/// Fully connected layer. Spec 4.3.
pub fn fully_connected<const LINKS: u64>(
    op: &FullyConnected<'_>,
    input: View<'_>,
    output: ViewMut<'_>,
    scratch: &mut [u8],
) {
    match op.weights.packing {
        Packing::Plain if Packing::Plain.is_in(LINKS) => portable::fully_connected::<LINKS>(op, input, output),
        Packing::Pairs if Packing::Pairs.is_in(LINKS) => dsp::fully_connected::<LINKS>(op, input, output, scratch),
        _ => {}
    }
}
