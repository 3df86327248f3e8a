//! A network as the user describes it: layers with names, operators and inputs, in order.
//!
//! Tensors are numbered: 0 is the network's input, `i + 1` is the output of layer `i`.

use stepshift_runtime::format::{Shape, Window};

/// A checked network: every input is an earlier tensor and every shape is known.
#[derive(Debug, Clone, PartialEq)]
pub struct Network {
    /// Shape of tensor 0.
    pub input: Shape,
    /// The layers, in the order in which they run.
    pub layers: Vec<Layer>,
}

/// One layer.
#[derive(Debug, Clone, PartialEq)]
pub struct Layer {
    /// Unique name.
    pub name: String,
    /// Tensors read: one, or two where the operator adds.
    pub inputs: Vec<usize>,
    /// What it computes.
    pub op: LayerOp,
    /// Ends in a ReLU.
    pub relu: bool,
    /// Shape of its output, tensor `i + 1`.
    pub output: Shape,
}

/// The operators a network may use.
#[derive(Debug, Clone, PartialEq)]
pub enum LayerOp {
    /// 2-D convolution, bias included; `batch_norm` stands between it and the ReLU.
    Conv2d {
        /// Kernel, stride, padding.
        window: Window,
        /// Channels of the output.
        out_ch: u16,
        /// Normalized while training in float, folded afterwards.
        batch_norm: bool,
    },
    /// Depthwise 2-D convolution: `multiplier` output channels for each input channel.
    DepthwiseConv2d {
        /// Kernel, stride, padding.
        window: Window,
        /// Output channels for each input channel.
        multiplier: u16,
        /// Normalized while training in float, folded afterwards.
        batch_norm: bool,
    },
    /// Fully connected over the flattened input.
    FullyConnected {
        /// Outputs.
        out_ch: u16,
    },
    /// Maximum over a window.
    MaxPool2d {
        /// Kernel, stride, padding.
        window: Window,
    },
    /// Mean over rows and columns.
    GlobalAveragePool,
    /// Sum of two tensors of one shape.
    Add,
    /// ReLU by itself.
    Relu,
}
