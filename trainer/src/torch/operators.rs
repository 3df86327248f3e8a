//! The operators on floating-point tensors `[N, C, H, W]`.

use stepshift_runtime::format::{BinaryKind, Element, Shape, Window};
use tch::{Device, Kind, Tensor};

use crate::export::{Curve, FixedPointTensor};
use crate::network::{Layer, LayerActivation, LayerOp, SLOPE_BITS};

/// Extents of a layer's weights, `[C_OUT, C_IN / groups, K_H, K_W]`; `None` for layers without.
#[must_use]
pub fn weight_shape(layer: &Layer, input: Shape) -> Option<[i64; 4]> {
    let kernel = |window: &Window| (i64::from(window.kernel_h), i64::from(window.kernel_w));
    match &layer.op {
        LayerOp::Conv2d { window, out_ch, groups, .. } => {
            let (h, w) = kernel(window);
            Some([i64::from(*out_ch), (input.c / groups).into(), h, w])
        }
        LayerOp::TransposeConv2d { window, out_ch, .. } => {
            let (h, w) = kernel(window);
            Some([i64::from(*out_ch), input.c.into(), h, w])
        }
        LayerOp::DepthwiseConv2d { window, .. } => {
            let (h, w) = kernel(window);
            Some([i64::from(layer.output.c), 1, h, w])
        }
        LayerOp::FullyConnected { out_ch } => Some([i64::from(*out_ch), input.len() as i64, 1, 1]),
        _ => None,
    }
}

/// The same values in the order in which the operators of a CPU are fastest: the channels of a pixel side by side. What reads such a
/// tensor writes one as well. On a GPU, where that is not measured, one channel alone, which lies in both orders.
///
/// x  `[N, C, H, W]`
pub fn channels_last(x: &Tensor) -> Tensor {
    let size = x.size();
    if x.device() != Device::Cpu && size[1] > 1 {
        return x.shallow_clone();
    }
    // Flat in between: libtorch goes by the stride of a single channel, which a permutation would leave as it was.
    let flat = x.permute([0, 2, 3, 1]).reshape([-1]);
    flat.view([size[0], size[2], size[3], size[1]]).permute([0, 3, 1, 2])
}

/// The values of each input in the order `[H, W, C]`, that of codes: `[N, H * W * C]`.
///
/// x  `[N, C, H, W]`
pub fn flattened(x: &Tensor) -> Tensor {
    x.permute([0, 2, 3, 1]).flatten(1, -1)
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
        LayerOp::Conv2d { window, groups, .. } => convolution(x, weight, bias, window, (*groups).into()),
        LayerOp::DepthwiseConv2d { window, multiplier: 1, .. } if *window == Window::new(1, 1) => {
            channel_affine(x, weight, bias)
        }
        LayerOp::DepthwiseConv2d { window, .. } => convolution(x, weight, bias, window, x.size()[1]),
        LayerOp::FullyConnected { .. } | LayerOp::Repeated { .. } => {
            let x = x.permute([0, 2, 3, 1]).flatten(1, -1);
            x.linear(&weight.flatten(1, -1), bias).unsqueeze(-1).unsqueeze(-1)
        }
        LayerOp::TransposeConv2d { window, .. } => transposed(x, weight, bias, window),
        _ => unreachable!("the operator has no weights"),
    }
}

fn convolution(x: &Tensor, weight: &Tensor, bias: Option<&Tensor>, window: &Window, groups: i64) -> Tensor {
    let stride = strides(window);
    let dilation = [i64::from(window.dilation_h), i64::from(window.dilation_w)];
    let symmetric = window.pad_top == window.pad_bottom && window.pad_left == window.pad_right;
    if symmetric {
        let padding = [i64::from(window.pad_top), i64::from(window.pad_left)];
        return x.conv2d(weight, bias, stride, padding, dilation, groups);
    }
    pad(x, window, 0.0).conv2d(weight, bias, stride, [0, 0], dilation, groups)
}

/// A depthwise convolution of 1x1, which an unfolded batch norm is: libtorch's own takes ten times as long.
fn channel_affine(x: &Tensor, weight: &Tensor, bias: Option<&Tensor>) -> Tensor {
    let product = x * weight.view([1, -1, 1, 1]);
    bias.map_or_else(|| product.shallow_clone(), |bias| &product + bias.view([1, -1, 1, 1]))
}

/// Padding is cut off the whole result.
fn transposed(x: &Tensor, weight: &Tensor, bias: Option<&Tensor>, window: &Window) -> Tensor {
    let weight = weight.transpose(0, 1);
    let whole = x.conv_transpose2d(&weight, bias, strides(window), [0, 0], [0, 0], 1, [1, 1]);
    let size = whole.size();
    let cut = |before: u8, after: u8, len: i64| (i64::from(before), len - i64::from(before) - i64::from(after));
    let (top, h) = cut(window.pad_top, window.pad_bottom, size[2]);
    let (left, w) = cut(window.pad_left, window.pad_right, size[3]);
    whole.narrow(2, top, h).narrow(3, left, w)
}

fn strides(window: &Window) -> [i64; 2] {
    [i64::from(window.stride_h), i64::from(window.stride_w)]
}

/// Every operator without weights and without a reciprocal, in real arithmetic.
///
/// tensors  every tensor so far, `[N, C, H, W]`
pub fn weightless(layer: &Layer, tensors: &[Tensor]) -> Tensor {
    let x = &tensors[layer.inputs[0]];
    let Shape { h, w, c } = layer.output;
    let [h, w, c] = [h, w, c].map(i64::from);
    match &layer.op {
        LayerOp::MaxPool2d { window } => max_pool(x, window),
        LayerOp::State => Tensor::zeros([x.size()[0], c, h, w], (x.kind(), x.device())),
        LayerOp::Binary(kind) => binary(*kind, x, &tensors[layer.inputs[1]]),
        LayerOp::LeakyRelu { slope } => x.relu() - (-x).relu() * (f64::from(*slope) / f64::from(1_u16 << SLOPE_BITS)),
        LayerOp::Curve(curve) => smooth(*curve, x),
        LayerOp::Concat { axis } => {
            let parts: Vec<&Tensor> = layer.inputs.iter().map(|input| &tensors[*input]).collect();
            Tensor::cat(&parts, [2, 3, 1][usize::from(*axis)])
        }
        LayerOp::Slice { start } => {
            let [top, left, first] = start.map(i64::from);
            x.narrow(2, top, h).narrow(3, left, w).narrow(1, first, c)
        }
        LayerOp::Pad { before } => {
            let [top, left, first] = before.map(i64::from);
            let size = x.size();
            let sides = [left, w - left - size[3], top, h - top - size[2], first, c - first - size[1]];
            x.pad(sides, "constant", 0.0)
        }
        LayerOp::Reshape => x.permute([0, 2, 3, 1]).reshape([-1, h, w, c]).permute([0, 3, 1, 2]),
        LayerOp::Transpose { order } => {
            let [y, x_axis, z] = order.map(|axis| i64::from(axis) + 1);
            x.permute([0, 2, 3, 1]).permute([0, y, x_axis, z]).permute([0, 3, 1, 2])
        }
        LayerOp::UpsampleNearest => x.upsample_nearest2d([h, w], None, None),
        LayerOp::UpsampleBilinear => x.upsample_bilinear2d([h, w], false, None, None),
        _ => x.shallow_clone(),
    }
}

/// Negative values times a slope.
///
/// x      `[N, C, H, W]`
/// slope  `[1]` or `[C]`
pub fn prelu(x: &Tensor, slope: &Tensor) -> Tensor {
    x.relu() - (-x).relu() * slope.view([1, -1, 1, 1])
}

fn binary(kind: BinaryKind, a: &Tensor, b: &Tensor) -> Tensor {
    match kind {
        BinaryKind::Add => a + b,
        BinaryKind::Sub => a - b,
        BinaryKind::Mul => a * b,
        BinaryKind::Minimum => a.minimum(b),
        BinaryKind::Maximum => a.maximum(b),
    }
}

/// A curve in floating point, for gradients.
fn smooth(curve: Curve, x: &Tensor) -> Tensor {
    match curve {
        Curve::Sigmoid => x.sigmoid(),
        Curve::Tanh => x.tanh(),
        Curve::HardSigmoid => x.hardsigmoid(),
        Curve::HardSwish => x.hardswish(),
        Curve::Gelu => x.gelu("tanh"),
    }
}

/// A curve by the table that the runtime reads. Spec 4.11.
///
/// x       codes times the step of `input`, a power of two
/// output  codes times the step of `output`, f64
pub fn curve_by_table(curve: Curve, x: &Tensor, input: FixedPointTensor, output: FixedPointTensor) -> Tensor {
    let codes: Vec<f64> = curve.codes(input, output).into_iter().map(f64::from).collect();
    let table = Tensor::from_slice(&codes).to_device(x.device());
    let entry = |index: &Tensor| table.index_select(0, &index.flatten(0, -1)).view_as(index);
    let place = x.to_kind(Kind::Double) / input.step() - f64::from(input.element.min());
    if input.element != Element::I16 {
        return entry(&place.to_kind(Kind::Int64)) * output.step();
    }
    // Between every 128th entry.
    let below = (&place / 128.0).floor();
    let part = place - &below * 128.0;
    let index = below.to_kind(Kind::Int64);
    let sum = entry(&index) * (-&part + 128.0) + entry(&(index + 1)) * part;
    ((sum + 64.0) / 128.0).floor() * output.step()
}

/// The maximum over a window; padding never wins.
pub fn max_pool(x: &Tensor, window: &Window) -> Tensor {
    let has_padding = [window.pad_top, window.pad_bottom, window.pad_left, window.pad_right] != [0; 4];
    let x = if has_padding { pad(x, window, f64::NEG_INFINITY) } else { x.shallow_clone() };
    let kernel = [i64::from(window.kernel_h), i64::from(window.kernel_w)];
    x.max_pool2d(kernel, strides(window), [0, 0], [1, 1], false)
}

fn pad(x: &Tensor, window: &Window, value: f64) -> Tensor {
    let sides = [window.pad_left, window.pad_right, window.pad_top, window.pad_bottom].map(i64::from);
    x.pad(sides, "constant", value)
}

/// The mean over whole axes by the reciprocal of spec 4.5, in f64 and unrounded.
///
/// x       `[N, C, H, W]`, codes times a step
/// axes    bit 0 for rows, 1 for columns, 2 for channels
/// output  1 along the axes, f64
pub fn mean_by_reciprocal(x: &Tensor, axes: u8) -> Tensor {
    let (sum, area) = sum_over(&x.to_kind(Kind::Double), axes);
    let unit = 2_f64.powi(23);
    let reciprocal = (unit / area + 0.5).floor() / unit;
    sum * reciprocal
}

/// The sum over whole axes, and how many values each is of.
///
/// x       `[N, C, H, W]`
/// axes    bit 0 for rows, 1 for columns, 2 for channels
/// output  1 along the axes
pub fn sum_over(x: &Tensor, axes: u8) -> (Tensor, f64) {
    let dimensions: Vec<i64> =
        [2, 3, 1].into_iter().zip(0..3).filter(|(_, bit)| axes >> bit & 1 == 1).map(|(d, _)| d).collect();
    let area: i64 = dimensions.iter().map(|dimension| x.size()[*dimension as usize]).product();
    (x.sum_dim_intlist(dimensions.as_slice(), true, x.kind()), area as f64)
}

/// The input with a window's zeros around it.
pub fn padded(x: &Tensor, window: &Window) -> Tensor {
    pad(x, window, 0.0)
}

/// The sum over each place of a window, without padding.
pub fn window_sums(x: &Tensor, window: &Window) -> Tensor {
    let kernel = [i64::from(window.kernel_h), i64::from(window.kernel_w)];
    x.avg_pool2d(kernel, strides(window), [0, 0], false, true, 1)
}

/// The mean over the part of a window inside the input, by the reciprocals of spec 4.5, in f64 and unrounded.
///
/// x       `[N, C, H, W]`, codes times a step
/// output  `[N, C, H_OUT, W_OUT]`, f64
pub fn average_pool_by_reciprocal(x: &Tensor, window: &Window) -> Tensor {
    let x = x.to_kind(Kind::Double);
    let sum = |x: &Tensor| window_sums(&padded(x, window), window);
    let unit = 2_f64.powi(23);
    let reciprocal = (sum(&x.ones_like()).reciprocal() * unit + 0.5).floor() / unit;
    sum(&x) * reciprocal
}

/// What clips a layer's output, in real arithmetic.
pub fn clipped(activation: LayerActivation, y: &Tensor) -> Tensor {
    match activation {
        LayerActivation::None => y.shallow_clone(),
        LayerActivation::Relu => y.relu(),
        LayerActivation::Relu6 => y.clamp(0.0, 6.0),
        LayerActivation::Clip { low, high } => y.clamp(f64::from(low), f64::from(high)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn channels_lie_last_and_values_stay_where_they_are() {
        let x = Tensor::arange(2 * 3 * 4 * 5, (Kind::Float, Device::Cpu)).view([2, 3, 4, 5]);
        let last = channels_last(&x);
        assert_eq!((last.stride(), last.equal(&x)), (vec![60, 1, 15, 3], true));
        // libtorch takes one channel for the last by its stride.
        let one = x.narrow(1, 0, 1).contiguous();
        assert_eq!((one.stride(), channels_last(&one).stride()), (vec![20, 20, 5, 1], vec![20, 1, 5, 1]));
    }
}
