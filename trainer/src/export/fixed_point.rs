//! A network in integers, as training left it: codes, exponents, and no layout decisions yet.

use stepshift_runtime::format::{Shape, Window};

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
    /// Mean over rows and columns, by the reciprocal of [`crate::export::reciprocal()`].
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

impl FixedPointOp {
    /// The constants of a layer that accumulates products.
    #[must_use]
    pub fn weights(&self) -> Option<&FixedPointWeights> {
        match self {
            Self::Conv2d { weights, .. } | Self::DepthwiseConv2d { weights, .. } | Self::FullyConnected { weights } => {
                Some(weights)
            }
            Self::MaxPool2d { .. } | Self::GlobalAveragePool | Self::Add | Self::Relu => None,
        }
    }

    /// Tensors that the operator reads.
    const fn arity(&self) -> usize {
        if matches!(self, Self::Add) { 2 } else { 1 }
    }
}

impl FixedPointLayer {
    /// Multiply-accumulates of one inference.
    #[must_use]
    pub fn macs(&self) -> u64 {
        let Some(weights) = self.op.weights() else { return 0 };
        let filter_len = weights.codes.len() as u64 / u64::from(self.output.shape.c).max(1);
        filter_len * self.output.shape.len() as u64
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
            if layer.inputs.len() != arity {
                return refuse(format!("it has {} inputs instead of {arity}", layer.inputs.len()));
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
