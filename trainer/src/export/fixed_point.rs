//! A network in integers, as training left it: codes, exponents, and no layout decisions yet.

use stepshift_runtime::format::{Shape, Window};

/// Every tensor's exponent and every layer's codes. [`crate::export::encode`] makes a model file of it.
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
    /// Ends in a ReLU: the lower bound of the saturate is 0.
    pub relu: bool,
    /// What it computes.
    pub op: FixedPointOp,
}

/// Integer constants of each operator.
#[derive(Debug, Clone, PartialEq)]
pub enum FixedPointOp {
    /// Weights `[C_OUT, K_H, K_W, C_IN]`.
    Conv2d {
        /// Kernel, stride, padding.
        window: Window,
        /// Codes and exponents.
        weights: FixedPointWeights,
    },
    /// Weights `[1, K_H, K_W, C_OUT]`; output channel `oc` reads input channel `oc / multiplier`.
    DepthwiseConv2d {
        /// Kernel, stride, padding.
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
    /// Mean over rows and columns, by the reciprocal of [`crate::export::reciprocal`].
    GlobalAveragePool,
    /// Sum of two tensors.
    Add,
    /// Exponent of the output equals that of the input.
    Relu,
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
