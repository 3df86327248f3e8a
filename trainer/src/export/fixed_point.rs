//! A network in integers, as training left it: codes, exponents, and no layout decisions yet.

use stepshift_runtime::format::{Activation, BinaryKind, Shape, Window};

use super::ExportError;

/// Every tensor's exponent and every layer's codes. [`crate::export::encode()`] makes a model file of it.
#[derive(Debug, Clone, PartialEq)]
pub struct FixedPointNetwork {
    /// Tensor 0.
    pub input: FixedPointTensor,
    /// The layers; layer `i` writes tensor `i + 1`.
    pub layers: Vec<FixedPointLayer>,
}

/// An activation tensor of i8 codes: real value = code * 2^exponent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FixedPointTensor {
    /// Extent, NHWC.
    pub shape: Shape,
    /// log2 of the step.
    pub exponent: i8,
}

/// One layer in integers.
#[derive(Debug, Clone, PartialEq)]
pub struct FixedPointLayer {
    /// Unique name.
    pub name: String,
    /// Tensors read.
    pub inputs: Vec<usize>,
    /// Tensor written.
    pub output: FixedPointTensor,
    /// Bounds of the saturate that ends it. Ignored by operators that move codes.
    pub activation: Activation,
    /// What it computes.
    pub op: FixedPointOp,
}

/// Integer constants of each operator.
#[derive(Debug, Clone, PartialEq)]
pub enum FixedPointOp {
    /// Weights `[C_OUT, K_H, K_W, C_IN / groups]`.
    Conv2d {
        /// Kernel, stride, dilation, padding.
        window: Window,
        /// Divides input and output channels.
        groups: u16,
        /// Codes and exponents.
        weights: FixedPointWeights,
    },
    /// Weights `[1, K_H, K_W, C_OUT]`; output channel `oc` reads input channel `oc / multiplier`.
    DepthwiseConv2d {
        /// Kernel, stride, dilation, padding.
        window: Window,
        /// Codes and exponents.
        weights: FixedPointWeights,
    },
    /// Weights `[C_OUT, K_H, K_W, C_IN]`.
    TransposeConv2d {
        /// Kernel, stride, and what is cut off the output.
        window: Window,
        /// Codes and exponents.
        weights: FixedPointWeights,
    },
    /// Weights `[C_OUT, H * W * C_IN]`, the input flattened in NHWC order.
    FullyConnected {
        /// Codes and exponents.
        weights: FixedPointWeights,
    },
    /// Exponent of the output equals that of the input.
    MaxPool2d {
        /// Kernel, stride, padding.
        window: Window,
    },
    /// Mean over the part of a window inside the input, by the reciprocals of [`crate::export::reciprocal()`].
    AveragePool2d {
        /// Kernel, stride, padding.
        window: Window,
    },
    /// Mean over rows and columns, by the reciprocal of [`crate::export::reciprocal()`].
    GlobalAveragePool,
    /// Two tensors of one shape, code by code.
    Binary(BinaryKind),
    /// The activation alone. Exponent of the output equals that of the input.
    Clip,
    /// To the output's exponent.
    Rescale,
    /// Negative codes times a slope: one, or one for each channel.
    LeakyRelu {
        /// In units of `2^-slope_bits`.
        slopes: Vec<i16>,
        /// 0 to 15.
        slope_bits: u8,
    },
    /// A curve: 256 codes, from that of -128 on.
    Table {
        /// What each code gives.
        codes: Vec<i8>,
    },
    /// Softmax over the channels of each pixel; exponent of the output is -7.
    Softmax,
    /// Inputs side by side.
    Concat {
        /// Along rows (0), columns (1) or channels (2).
        axis: u8,
    },
    /// A part of the input. Exponent of the output equals that of the input.
    Slice {
        /// First row, column and channel.
        start: [u16; 3],
    },
    /// The input in a frame. Exponent of the output equals that of the input.
    Pad {
        /// Rows, columns and channels before the input.
        before: [u16; 3],
        /// Code of the frame.
        value: i8,
    },
    /// The same codes in another shape.
    Reshape,
    /// Axis `i` of the output is axis `order[i]` of the input.
    Transpose {
        /// A permutation of 0, 1, 2.
        order: [u8; 3],
    },
    /// Each code four times. Exponent of the output equals that of the input.
    UpsampleNearest,
    /// Twice the rows and columns, between the pixels' centres.
    UpsampleBilinear,
}

/// Weights and biases of one layer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FixedPointWeights {
    /// Narrow i8 codes, -127 to 127, in the operator's layout.
    pub codes: Vec<i8>,
    /// One exponent for each output channel.
    pub exponents: Vec<i8>,
    /// One bias for each output channel, at the accumulator's exponent (input + weight); i64 so
    /// that an overflow is reported rather than wrapped. The rounding constant is not in it.
    pub bias: Vec<i64>,
}

/// Greatest number of tensors that one layer reads.
const MAX_INPUTS: usize = 16;

impl FixedPointOp {
    /// The constants of a layer that accumulates products.
    #[must_use]
    pub fn weights(&self) -> Option<&FixedPointWeights> {
        match self {
            Self::Conv2d { weights, .. }
            | Self::DepthwiseConv2d { weights, .. }
            | Self::TransposeConv2d { weights, .. }
            | Self::FullyConnected { weights } => Some(weights),
            _ => None,
        }
    }

    /// How many tensors the operator reads.
    fn arity(&self) -> std::ops::RangeInclusive<usize> {
        match self {
            Self::Binary(_) => 2..=2,
            Self::Concat { .. } => 1..=MAX_INPUTS,
            _ => 1..=1,
        }
    }
}

impl FixedPointLayer {
    /// Multiply-accumulates of one inference, on an input of a shape.
    #[must_use]
    pub fn macs(&self, input: Shape) -> u64 {
        let Some(weights) = self.op.weights() else { return 0 };
        let filter_len = weights.codes.len() as u64 / u64::from(self.output.shape.c).max(1);
        let places = match self.op {
            // Every input pixel meets the whole kernel.
            FixedPointOp::TransposeConv2d { .. } => input.len() / usize::from(input.c).max(1),
            _ => self.output.shape.len() / usize::from(self.output.shape.c).max(1),
        };
        filter_len * u64::from(self.output.shape.c) * places as u64
    }
}

impl FixedPointNetwork {
    /// Tensor `index`: 0 is the input, `i + 1` what layer `i` writes.
    #[must_use]
    pub fn tensor(&self, index: usize) -> FixedPointTensor {
        index.checked_sub(1).map_or(self.input, |layer| self.layers[layer].output)
    }

    /// Refuses layers whose inputs or constants the encoder could not lay out.
    ///
    /// # Errors
    /// [`ExportError::Inconsistent`] with the layer's name.
    pub(super) fn check(&self) -> Result<(), ExportError> {
        let mut used = vec![false; self.layers.len() + 1];
        for (index, layer) in self.layers.iter().enumerate() {
            let refuse = |what: String| Err(ExportError::Inconsistent { layer: layer.name.clone(), what });
            let arity = layer.op.arity();
            if !arity.contains(&layer.inputs.len()) {
                return refuse(format!(
                    "it has {} inputs instead of {} to {}",
                    layer.inputs.len(),
                    arity.start(),
                    arity.end()
                ));
            }
            for input in &layer.inputs {
                if *input > index {
                    return refuse(format!("it reads tensor {input}, which no earlier layer writes"));
                }
                used[*input] = true;
            }
            if let Some(weights) = layer.op.weights() {
                let out_ch = usize::from(layer.output.shape.c);
                if weights.bias.len() != out_ch || weights.exponents.len() != out_ch {
                    return refuse(format!("biases and exponents are not one for each of its {out_ch} channels"));
                }
            }
        }
        match used[..self.layers.len()].iter().position(|used| !used) {
            Some(0) if self.layers.is_empty() => Ok(()),
            Some(tensor) => {
                let layer = tensor.checked_sub(1).map_or("input", |layer| &self.layers[layer].name).to_owned();
                Err(ExportError::Inconsistent { layer, what: "no layer reads its output".to_owned() })
            }
            None => Ok(()),
        }
    }
}
