//! A network as the user describes it: layers with names, operators and inputs, in order.
//!
//! Tensors are numbered: 0 is the network's input, `i + 1` is the output of layer `i`.

use anyhow::{Context, Result, bail, ensure};
use stepshift_runtime::format::{Activation, BinaryKind, Shape, Window};

use crate::export::FixedPointTensor;
use crate::export::tables::{Curve, code_of};
use crate::layer_config::LayerConfig;
use crate::quantizer_config::Scheme;
use crate::recurrent::Cell;

/// A checked network: every input is an earlier tensor and every shape is known.
#[derive(Debug, Clone, PartialEq)]
pub struct Network {
    /// Shape of tensor 0.
    pub input: Shape,
    /// The layers, in the order in which they run.
    pub layers: Vec<Layer>,
    /// The recurrent layers among them, in order.
    pub cells: Vec<Cell>,
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
    /// What clips its output.
    pub activation: LayerActivation,
    /// Shape of its output, tensor `i + 1`.
    pub output: Shape,
}

/// What clips a layer's output, for free: the bounds of its saturate. Spec 3.3.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub enum LayerActivation {
    /// Saturation alone.
    #[default]
    None,
    /// `max(x, 0)`.
    Relu,
    /// `min(max(x, 0), 6)`.
    Relu6,
    /// `min(max(x, low), high)`.
    Clip {
        /// Least output.
        low: f32,
        /// Greatest output.
        high: f32,
    },
}

impl LayerActivation {
    /// True where no output is below 0.
    #[must_use]
    pub fn is_positive(self) -> bool {
        match self {
            Self::None => false,
            Self::Relu | Self::Relu6 => true,
            Self::Clip { low, .. } => low >= 0.0,
        }
    }

    /// True where a factor may be moved from its input to its output.
    #[must_use]
    pub const fn scales(self) -> bool {
        matches!(self, Self::None | Self::Relu)
    }

    /// Bounds of the codes of an output.
    #[must_use]
    pub fn bounds(self, output: FixedPointTensor) -> Activation {
        let max = output.element.max();
        match self {
            Self::None => Activation::full(output.element),
            Self::Relu => Activation { min: output.zero, max },
            Self::Relu6 => Activation { min: output.zero, max: code_of(6.0, output) },
            Self::Clip { low, high } => {
                Activation { min: code_of(low.into(), output), max: code_of(high.into(), output) }
            }
        }
    }
}

/// The operators a network may use.
#[derive(Debug, Clone, PartialEq)]
pub enum LayerOp {
    /// 2-D convolution, bias included; `batch_norm` stands between it and the activation.
    Conv2d {
        /// Kernel, stride, dilation, padding.
        window: Window,
        /// Channels of the output.
        out_ch: u16,
        /// Divides input and output channels.
        groups: u16,
        /// Normalized while training in float, folded afterwards.
        batch_norm: bool,
    },
    /// Depthwise 2-D convolution: `multiplier` output channels for each input channel.
    DepthwiseConv2d {
        /// Kernel, stride, dilation, padding.
        window: Window,
        /// Output channels for each input channel.
        multiplier: u16,
        /// Normalized while training in float, folded afterwards.
        batch_norm: bool,
    },
    /// Transposed 2-D convolution, bias included.
    TransposeConv2d {
        /// Kernel, stride, and what is cut off the output.
        window: Window,
        /// Channels of the output.
        out_ch: u16,
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
    /// Mean over the part of a window that is inside the input.
    AveragePool2d {
        /// Kernel, stride, padding.
        window: Window,
    },
    /// Mean over whole axes: over rows and columns, a global average pool.
    Mean {
        /// Bit 0 for rows, 1 for columns, 2 for channels.
        axes: u8,
    },
    /// Two tensors of one shape, code by code.
    Binary(BinaryKind),
    /// The activation by itself.
    Clip,
    /// To an exponent of its own.
    Rescale,
    /// Negative values times a slope.
    LeakyRelu {
        /// In units of `2^-7`.
        slope: i16,
    },
    /// Negative values times a slope that is learned.
    PRelu {
        /// One slope, instead of one for each channel.
        shared: bool,
    },
    /// A curve by table.
    Curve(Curve),
    /// Inputs side by side along rows (0), columns (1) or channels (2).
    Concat {
        /// The axis.
        axis: u8,
    },
    /// A part of the input.
    Slice {
        /// First row, column and channel.
        start: [u16; 3],
    },
    /// Zeros around the input.
    Pad {
        /// Rows, columns and channels before the input.
        before: [u16; 3],
    },
    /// The same values in another shape, in the order rows, columns, channels.
    Reshape,
    /// Axis `i` of the output is axis `order[i]` of the input.
    Transpose {
        /// A permutation of 0, 1, 2.
        order: [u8; 3],
    },
    /// Twice the rows and columns, each value four times.
    UpsampleNearest,
    /// Twice the rows and columns, between the pixels' centres.
    UpsampleBilinear,
    /// A recurrent layer's state before the first step: zeros, whatever it reads.
    State,
    /// Fully connected with the weights of an earlier layer.
    Repeated {
        /// That layer.
        layer: usize,
    },
}

/// Fraction bits of a leaky ReLU's slope. Spec 4.10.
pub const SLOPE_BITS: u8 = 7;

/// Fraction bits of a PReLU's slopes, which are learned: from -8 to 8. Spec 4.10.
pub const LEARNED_SLOPE_BITS: u8 = 12;

impl LayerOp {
    /// How many slopes it learns over so many channels; `None` for operators without.
    #[must_use]
    pub const fn learned_slopes(&self, channels: u16) -> Option<u16> {
        match self {
            Self::PRelu { shared: true } => Some(1),
            Self::PRelu { shared: false } => Some(channels),
            _ => None,
        }
    }

    /// True for operators without arithmetic: their output has their input's exponent.
    #[must_use]
    pub const fn keeps_exponent(&self) -> bool {
        matches!(
            self,
            Self::MaxPool2d { .. }
                | Self::Clip
                | Self::Slice { .. }
                | Self::Pad { .. }
                | Self::Reshape
                | Self::Transpose { .. }
                | Self::UpsampleNearest
        )
    }
}

impl Network {
    /// Checks the layers and finds every shape.
    ///
    /// # Errors
    /// Names the layer, the value and what would be right.
    pub fn new(input: Shape, layers: &[LayerConfig]) -> Result<Self> {
        ensure!(!layers.is_empty(), "there are no layers");
        let mut network = Self { input, layers: Vec::new(), cells: Vec::new() };
        // Numbers of the tensors that layers of a config write.
        let mut named = Vec::new();
        for config in layers {
            let (layers, cell) = config.layers(&network, &named).with_context(|| format!("layer {}", config.name))?;
            network.layers.extend(layers);
            network.cells.extend(cell);
            named.push((config.name.clone(), network.layers.len()));
        }
        network.every_output_is_used()?;
        Ok(network)
    }

    /// Shape of tensor `index`: 0 is the input, `i + 1` the output of layer `i`.
    #[must_use]
    pub fn shape(&self, index: usize) -> Shape {
        index.checked_sub(1).map_or(self.input, |layer| self.layers[layer].output)
    }

    /// The layer whose weights a layer has: itself, or the one that it repeats.
    #[must_use]
    pub fn weights_of(&self, layer: usize) -> usize {
        if let LayerOp::Repeated { layer } = self.layers[layer].op { layer } else { layer }
    }

    /// log2 of the step of what a layer of a recurrent layer writes, with codes of 16 bits; `None` for other layers.
    #[must_use]
    pub fn cell_exponent(&self, layer: usize) -> Option<i8> {
        self.cells.iter().find_map(|cell| cell.exponent(layer))
    }

    /// Shape of the network's output.
    #[must_use]
    pub fn output(&self) -> Shape {
        self.shape(self.layers.len())
    }

    /// Refuses layers that a scheme does not have.
    ///
    /// # Errors
    /// Names the layer and what would be right.
    pub fn check_scheme(&self, scheme: Scheme) -> Result<()> {
        if scheme == Scheme::PowerOfTwo {
            return Ok(());
        }
        if let Some(cell) = self.cells.first() {
            bail!("layer {}: recurrent layers need quantized.scheme = \"power_of_two\"", cell.name);
        }
        for layer in &self.layers {
            ensure!(
                layer.op != LayerOp::PRelu { shared: false },
                "layer {}: a prelu of the affine scheme has one slope: set shared = true, or quantized.scheme = \"power_of_two\"",
                layer.name
            );
        }
        Ok(())
    }

    fn every_output_is_used(&self) -> Result<()> {
        for tensor in 0..self.layers.len() {
            let used = self.layers.iter().any(|layer| layer.inputs.contains(&tensor));
            let name = tensor.checked_sub(1).map_or("input", |layer| &self.layers[layer].name);
            ensure!(used, "layer {name}: no layer reads its output");
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::*;

    fn error(layers: &str) -> String {
        #[derive(Deserialize)]
        struct Layers {
            layers: Vec<LayerConfig>,
        }
        let parsed: Layers = toml::from_str(&format!("layers = [{layers}]")).unwrap();
        format!("{:#}", Network::new(Shape { h: 8, w: 8, c: 4 }, &parsed.layers).unwrap_err())
    }

    #[test]
    fn mistakes_are_named_by_layer() {
        let cases = [
            ("", "there are no layers"),
            (r#"{name = "a", op = "conv2d", out_ch = 4}"#, "layer a: kernel is missing or 0"),
            (r#"{name = "a", op = "conv2d", kernel = 3}"#, "layer a: out_ch is missing or 0"),
            (
                r#"{name = "a", op = "conv2d", out_ch = 1, kernel = 9}"#,
                "layer a: a kernel of 9 x 9 does not fit an input of 8 x 8 x 4",
            ),
            (
                r#"{name = "a", op = "max_pool2d", kernel = 2, padding = [0, 2]}"#,
                "layer a: padding is [0, 0, 2, 2] (top, bottom, left, right), it must be less than a kernel of 2 x 2",
            ),
            (
                r#"{name = "a", op = "max_pool2d", kernel = 2, stride = [2, 0]}"#,
                "layer a: stride is 2 x 0, it must be at least 1",
            ),
            (r#"{name = "a", op = "relu", inputs = ["b"]}"#, "layer a: no earlier layer is named b"),
            (r#"{name = "a", op = "relu"}, {name = "a", op = "relu"}"#, "layer a: the name is empty or taken"),
            (r#"{name = "input", op = "relu"}"#, "layer input: the name is empty or taken"),
            (r#"{name = "average.fc", op = "relu"}"#, "layer average.fc: the name has a dot"),
            (r#"{name = "a", op = "add"}"#, "layer a: it has 1 inputs, its operator takes 2"),
            (r#"{name = "a", op = "relu", kernel = 3}"#, "layer a: the operator has no key kernel"),
            (r#"{name = "a", op = "clip"}"#, "layer a: clip is missing"),
            (r#"{name = "a", op = "clip", clip = [1, -1]}"#, "layer a: clip is [1, -1], it must be [LEAST, GREATEST]"),
            (r#"{name = "a", op = "gru"}"#, "layer a: units is missing or 0"),
            (r#"{name = "a", op = "lstm", units = 2000}"#, "layer a: units is 2000, it may be 1024 at most"),
            (r#"{name = "a", op = "gru", units = 4, kernel = 3}"#, "layer a: the operator has no key kernel"),
            (
                r#"{name = "a", op = "max_pool2d", kernel = 2}, {name = "b", op = "add", inputs = ["a", "input"]}"#,
                "layer b: its inputs are 7 x 7 x 4 and 8 x 8 x 4, they must be of one shape",
            ),
            (
                r#"{name = "a", op = "relu"}, {name = "b", op = "relu", inputs = ["input"]}"#,
                "layer a: no layer reads its output",
            ),
        ];
        for (layers, expected) in cases {
            assert_eq!(error(layers), expected);
        }
    }
}
