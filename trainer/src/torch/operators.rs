//! The operators on floating-point tensors `[N, C, H, W]`.

use stepshift_runtime::format::{Shape, Window};
use tch::{Kind, Tensor};

use crate::network::{Layer, LayerOp};

/// Extents of a layer's weights, `[C_OUT, C_IN / groups, K_H, K_W]`; `None` for layers without.
#[must_use]
pub fn weight_shape(layer: &Layer, input: Shape) -> Option<[i64; 4]> {
    let kernel = |window: &Window| (i64::from(window.kernel_h), i64::from(window.kernel_w));
    match &layer.op {
        LayerOp::Conv2d { window, out_ch, .. } => {
            let (h, w) = kernel(window);
            Some([i64::from(*out_ch), input.c.into(), h, w])
        }
        LayerOp::DepthwiseConv2d { window, .. } => {
            let (h, w) = kernel(window);
            Some([i64::from(layer.output.c), 1, h, w])
        }
        LayerOp::FullyConnected { out_ch } => Some([i64::from(*out_ch), input.len() as i64, 1, 1]),
        LayerOp::MaxPool2d { .. } | LayerOp::GlobalAveragePool | LayerOp::Add | LayerOp::Relu => None,
    }
}

/// The sum of products of a layer with weights.
///
/// x       `[N, C_IN, H, W]`
/// weight  [`weight_shape`]; of a fully connected layer for an input in the order H, W, C
/// bias    `[C_OUT]`
///
/// # Panics
/// Where the layer has no weights.
pub fn weighted_sum(op: &LayerOp, x: &Tensor, weight: &Tensor, bias: Option<&Tensor>) -> Tensor {
    match op {
        LayerOp::Conv2d { window, .. } => convolution(x, weight, bias, window, 1),
        LayerOp::DepthwiseConv2d { window, .. } => convolution(x, weight, bias, window, x.size()[1]),
        LayerOp::FullyConnected { .. } => {
            let x = x.permute([0, 2, 3, 1]).flatten(1, -1);
            x.linear(&weight.flatten(1, -1), bias).unsqueeze(-1).unsqueeze(-1)
        }
        LayerOp::MaxPool2d { .. } | LayerOp::GlobalAveragePool | LayerOp::Add | LayerOp::Relu => {
            unreachable!("the operator has no weights")
        }
    }
}

fn convolution(x: &Tensor, weight: &Tensor, bias: Option<&Tensor>, window: &Window, groups: i64) -> Tensor {
    let stride = [i64::from(window.stride_h), i64::from(window.stride_w)];
    let symmetric = window.pad_top == window.pad_bottom && window.pad_left == window.pad_right;
    if symmetric {
        let padding = [i64::from(window.pad_top), i64::from(window.pad_left)];
        return x.conv2d(weight, bias, stride, padding, [1, 1], groups);
    }
    pad(x, window, 0.0).conv2d(weight, bias, stride, [0, 0], [1, 1], groups)
}

/// The maximum over a window; padding never wins.
pub fn max_pool(x: &Tensor, window: &Window) -> Tensor {
    let padded = [window.pad_top, window.pad_bottom, window.pad_left, window.pad_right] != [0; 4];
    let x = if padded { pad(x, window, f64::NEG_INFINITY) } else { x.shallow_clone() };
    let kernel = [i64::from(window.kernel_h), i64::from(window.kernel_w)];
    let stride = [i64::from(window.stride_h), i64::from(window.stride_w)];
    x.max_pool2d(kernel, stride, [0, 0], [1, 1], false)
}

fn pad(x: &Tensor, window: &Window, value: f64) -> Tensor {
    let sides = [window.pad_left, window.pad_right, window.pad_top, window.pad_bottom].map(i64::from);
    x.pad(sides, "constant", value)
}

/// The mean over rows and columns by the reciprocal of spec 4.5, in f64 and unrounded.
///
/// x       `[N, C, H, W]`, codes times a step
/// output  `[N, C, 1, 1]`, f64
pub fn average_by_reciprocal(x: &Tensor) -> Tensor {
    let size = x.size();
    let area = (size[2] * size[3]) as f64;
    let unit = 2_f64.powi(23);
    let reciprocal = (unit / area + 0.5).floor() / unit;
    x.to_kind(Kind::Double).sum_dim_intlist([2, 3].as_slice(), true, Kind::Double) * reciprocal
}
