//! A network as the user describes it: layers with names, operators and inputs, in order.
//!
//! Tensors are numbered: 0 is the network's input, `i + 1` is the output of layer `i`.

use anyhow::{Context, Result, ensure};
use serde::{Deserialize, Serialize};
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

/// A layer as the config words it.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct LayerConfig {
    /// Unique name; `input` is taken by the network's input.
    pub name: String,
    /// Operator.
    pub op: OpName,
    /// Layers read, the one before where left out.
    pub inputs: Option<Vec<String>>,
    /// Output channels of a convolution or fully connected layer.
    pub out_ch: Option<u16>,
    /// Output channels for each input channel of a depthwise convolution, 1 where left out.
    pub multiplier: Option<u16>,
    /// Rows and columns of a window.
    pub kernel: Option<u8>,
    /// Rows and columns from one output to the next, 1 where left out.
    pub stride: Option<u8>,
    /// Rows and columns of zeros on each side, 0 where left out.
    pub padding: Option<u8>,
    /// Batch norm behind a convolution while training in float, no where left out.
    pub batch_norm: Option<bool>,
    /// ReLU at the end, no where left out.
    pub relu: Option<bool>,
}

/// The operators' names in a config.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
#[expect(missing_docs, reason = "the names are LayerOp's")]
pub enum OpName {
    #[serde(rename = "conv2d")]
    Conv2d,
    #[serde(rename = "depthwise_conv2d")]
    DepthwiseConv2d,
    FullyConnected,
    #[serde(rename = "max_pool2d")]
    MaxPool2d,
    GlobalAveragePool,
    Add,
    Relu,
}

impl Network {
    /// Checks the layers and finds every shape.
    ///
    /// # Errors
    /// Names the layer, the value and what would be right.
    pub fn new(input: Shape, layers: &[LayerConfig]) -> Result<Self> {
        ensure!(!layers.is_empty(), "there are no layers");
        let mut network = Self { input, layers: Vec::new() };
        for config in layers {
            let layer = network.layer(config).with_context(|| format!("layer {}", config.name))?;
            network.layers.push(layer);
        }
        network.every_output_is_used()?;
        Ok(network)
    }

    /// Shape of tensor `index`: 0 is the input, `i + 1` the output of layer `i`.
    #[must_use]
    pub fn shape(&self, index: usize) -> Shape {
        index.checked_sub(1).map_or(self.input, |layer| self.layers[layer].output)
    }

    /// Shape of the network's output.
    #[must_use]
    pub fn output(&self) -> Shape {
        self.shape(self.layers.len())
    }

    fn layer(&self, config: &LayerConfig) -> Result<Layer> {
        let taken = config.name == "input" || self.layers.iter().any(|layer| layer.name == config.name);
        ensure!(!taken && !config.name.is_empty(), "the name is empty or taken");
        let inputs = self.inputs(config)?;
        let input = self.shape(inputs[0]);
        let batch_norm = config.batch_norm.unwrap_or(false);
        let (op, output) = match config.op {
            OpName::Conv2d => {
                let (window, h, w) = window(config, input)?;
                let out_ch = required("out_ch", config.out_ch)?;
                (LayerOp::Conv2d { window, out_ch, batch_norm }, Shape { h, w, c: out_ch })
            }
            OpName::DepthwiseConv2d => {
                let (window, h, w) = window(config, input)?;
                let multiplier = config.multiplier.unwrap_or(1);
                let c = input.c.checked_mul(multiplier).filter(|c| *c > 0).context("multiplier is 0 or too large")?;
                (LayerOp::DepthwiseConv2d { window, multiplier, batch_norm }, Shape { h, w, c })
            }
            OpName::FullyConnected => {
                let out_ch = required("out_ch", config.out_ch)?;
                (LayerOp::FullyConnected { out_ch }, Shape { h: 1, w: 1, c: out_ch })
            }
            OpName::MaxPool2d => {
                let (window, h, w) = window(config, input)?;
                (LayerOp::MaxPool2d { window }, Shape { h, w, c: input.c })
            }
            OpName::GlobalAveragePool => (LayerOp::GlobalAveragePool, Shape { h: 1, w: 1, c: input.c }),
            OpName::Add => {
                let other = self.shape(inputs[1]);
                ensure!(other == input, "it adds {} to {}, shapes must be equal", show(other), show(input));
                (LayerOp::Add, input)
            }
            OpName::Relu => (LayerOp::Relu, input),
        };
        refuse_unused_keys(config)?;
        Ok(Layer { name: config.name.clone(), inputs, op, relu: config.relu.unwrap_or(false), output })
    }

    /// Tensor numbers of a layer's inputs.
    fn inputs(&self, config: &LayerConfig) -> Result<Vec<usize>> {
        let Some(names) = &config.inputs else {
            ensure!(config.op != OpName::Add, "an add needs two inputs");
            return Ok(vec![self.layers.len()]);
        };
        let arity = if config.op == OpName::Add { 2 } else { 1 };
        ensure!(names.len() == arity, "it has {} inputs, its operator takes {arity}", names.len());
        let find = |name: &String| {
            let earlier = self.layers.iter().position(|layer| layer.name == *name).map(|layer| layer + 1);
            earlier.or((name == "input").then_some(0)).with_context(|| format!("no earlier layer is named {name}"))
        };
        names.iter().map(find).collect()
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

fn show(Shape { h, w, c }: Shape) -> String {
    format!("{h} x {w} x {c}")
}

fn required<T: Default + PartialEq>(key: &str, value: Option<T>) -> Result<T> {
    value.filter(|value| *value != T::default()).with_context(|| format!("{key} is missing or 0"))
}

/// The window of a layer and the rows and columns of its output.
fn window(config: &LayerConfig, input: Shape) -> Result<(Window, u16, u16)> {
    let kernel = required("kernel", config.kernel)?;
    let stride = config.stride.unwrap_or(1);
    let padding = config.padding.unwrap_or(0);
    ensure!(padding < kernel, "padding {padding} must be less than kernel {kernel}");
    ensure!(stride > 0, "stride is 0, it must be at least 1");
    let window = Window {
        kernel_h: kernel,
        kernel_w: kernel,
        stride_h: stride,
        stride_w: stride,
        pad_top: padding,
        pad_bottom: padding,
        pad_left: padding,
        pad_right: padding,
    };
    let size = window.output_size(input.h, input.w);
    let (h, w) = size.with_context(|| format!("a kernel of {kernel} does not fit an input of {}", show(input)))?;
    Ok((window, h, w))
}

/// A key that the operator does not read is a mistake of the user's.
fn refuse_unused_keys(config: &LayerConfig) -> Result<()> {
    use OpName::{Add, Conv2d, DepthwiseConv2d, FullyConnected, MaxPool2d};
    let op = config.op;
    let windowed = matches!(op, Conv2d | DepthwiseConv2d | MaxPool2d);
    let convolution = matches!(op, Conv2d | DepthwiseConv2d);
    let keys = [
        ("out_ch", config.out_ch.is_some(), matches!(op, Conv2d | FullyConnected)),
        ("multiplier", config.multiplier.is_some(), op == DepthwiseConv2d),
        ("kernel", config.kernel.is_some(), windowed),
        ("stride", config.stride.is_some(), windowed),
        ("padding", config.padding.is_some(), windowed),
        ("batch_norm", config.batch_norm.is_some(), convolution),
        ("relu", config.relu.is_some(), convolution || matches!(op, FullyConnected | Add)),
    ];
    for (key, present, used) in keys {
        ensure!(!present || used, "the operator has no key {key}");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
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
                "layer a: a kernel of 9 does not fit an input of 8 x 8 x 4",
            ),
            (
                r#"{name = "a", op = "max_pool2d", kernel = 2, padding = 2}"#,
                "layer a: padding 2 must be less than kernel 2",
            ),
            (r#"{name = "a", op = "relu", inputs = ["b"]}"#, "layer a: no earlier layer is named b"),
            (r#"{name = "a", op = "relu"}, {name = "a", op = "relu"}"#, "layer a: the name is empty or taken"),
            (r#"{name = "input", op = "relu"}"#, "layer input: the name is empty or taken"),
            (r#"{name = "a", op = "add"}"#, "layer a: an add needs two inputs"),
            (r#"{name = "a", op = "relu", kernel = 3}"#, "layer a: the operator has no key kernel"),
            (
                r#"{name = "a", op = "max_pool2d", kernel = 2}, {name = "b", op = "add", inputs = ["a", "input"]}"#,
                "layer b: it adds 8 x 8 x 4 to 7 x 7 x 4, shapes must be equal",
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
