//! A layer as a config words it, and what comes of it. `docs/config.md` documents every key.

use anyhow::{Context, Result, ensure};
use serde::{Deserialize, Serialize};
use stepshift_runtime::format::{BinaryKind, Mean, Shape, Window};

use crate::exact_array::exact_array;
use crate::export::tables::Curve;
use crate::network::{Layer, LayerActivation, LayerOp, Network, SLOPE_BITS};
use crate::recurrent::{self, Cell, CellKind};

/// Most units of a recurrent layer: four gates of them are channels of one tensor.
const MAX_UNITS: u16 = 1024;

/// Most steps of a recurrent layer in training.
const MAX_STEPS: u16 = 255;

/// A layer as the config words it.
#[derive(Debug, Clone, Default, PartialEq, Deserialize, Serialize)]
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
    /// Divides the channels of a convolution, 1 where left out.
    pub groups: Option<u16>,
    /// Rows and columns of a window.
    pub kernel: Option<Pair>,
    /// Rows and columns from one output to the next, 1 where left out.
    pub stride: Option<Pair>,
    /// Rows and columns from one entry of the kernel to the next, 1 where left out.
    pub dilation: Option<Pair>,
    /// Zeros on each side, 0 where left out.
    pub padding: Option<Sides>,
    /// Units of a recurrent layer.
    pub units: Option<u16>,
    /// A recurrent layer's output has a row for every row of its input, no where left out.
    pub sequence: Option<bool>,
    /// Slope of a leaky ReLU.
    pub slope: Option<f64>,
    /// One learned slope of a PReLU for all channels, no where left out.
    pub shared: Option<bool>,
    /// Axis of a concatenation: 0 rows, 1 columns, 2 channels.
    pub axis: Option<u8>,
    /// Axes of a mean: 0 rows, 1 columns, 2 channels.
    pub axes: Option<Vec<u8>>,
    /// First row, column and channel of a slice.
    #[serde(default, deserialize_with = "exact_array")]
    pub start: Option<[u16; 3]>,
    /// Rows, columns and channels of a slice or reshape.
    #[serde(default, deserialize_with = "exact_array")]
    pub size: Option<[u16; 3]>,
    /// Rows, columns and channels of zeros before the input of a pad.
    #[serde(default, deserialize_with = "exact_array")]
    pub before: Option<[u16; 3]>,
    /// Rows, columns and channels of zeros behind the input of a pad.
    #[serde(default, deserialize_with = "exact_array")]
    pub after: Option<[u16; 3]>,
    /// Order of the axes of a transpose.
    #[serde(default, deserialize_with = "exact_array")]
    pub order: Option<[u8; 3]>,
    /// Batch norm behind a convolution while training in float, no where left out.
    pub batch_norm: Option<bool>,
    /// ReLU at the end, no where left out.
    pub relu: Option<bool>,
    /// ReLU6 at the end, no where left out.
    pub relu6: Option<bool>,
    /// Least and greatest output.
    #[serde(default, deserialize_with = "exact_array")]
    pub clip: Option<[f32; 2]>,
}

/// One number for rows and columns, or one for each.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize)]
#[serde(untagged, expecting = "expected 0 to 255, or [rows, columns] of such")]
pub enum Pair {
    /// Rows and columns alike.
    Both(u8),
    /// Rows, columns.
    Each([u8; 2]),
}

impl Pair {
    const fn get(self) -> [u8; 2] {
        match self {
            Self::Both(both) => [both, both],
            Self::Each(each) => each,
        }
    }
}

/// One number for all sides, one for rows and one for columns, or one for each side.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize)]
#[serde(untagged, expecting = "expected 0 to 255, or [rows, columns] or [top, bottom, left, right] of such")]
pub enum Sides {
    /// All sides alike.
    All(u8),
    /// Top and bottom, left and right.
    Pairs([u8; 2]),
    /// Top, bottom, left, right.
    Each([u8; 4]),
}

impl Sides {
    const fn get(self) -> [u8; 4] {
        match self {
            Self::All(all) => [all; 4],
            Self::Pairs([h, w]) => [h, h, w, w],
            Self::Each(each) => each,
        }
    }
}

/// The operators' names in a config.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
#[expect(missing_docs, reason = "the names are LayerOp's")]
pub enum OpName {
    #[default]
    #[serde(rename = "conv2d")]
    Conv2d,
    #[serde(rename = "conv1d")]
    Conv1d,
    #[serde(rename = "depthwise_conv2d")]
    DepthwiseConv2d,
    #[serde(rename = "transpose_conv2d")]
    TransposeConv2d,
    FullyConnected,
    #[serde(rename = "max_pool2d")]
    MaxPool2d,
    #[serde(rename = "average_pool2d")]
    AveragePool2d,
    GlobalMaxPool,
    GlobalAveragePool,
    Mean,
    Add,
    Sub,
    Mul,
    Minimum,
    Maximum,
    Relu,
    Relu6,
    Clip,
    LeakyRelu,
    Prelu,
    Sigmoid,
    Tanh,
    HardSigmoid,
    HardSwish,
    Gelu,
    Requantize,
    Concat,
    Slice,
    Pad,
    Reshape,
    Transpose,
    UpsampleNearest,
    UpsampleBilinear,
    Gru,
    Lstm,
}

impl LayerConfig {
    /// The layers behind those of `network`: one, or all of a recurrent layer's.
    ///
    /// named  layers of the config so far, with the tensors that they write
    ///
    /// # Errors
    /// Says which key is wrong and what would be right.
    pub(crate) fn layers(&self, network: &Network, named: &[(String, usize)]) -> Result<(Vec<Layer>, Option<Cell>)> {
        let taken = self.name == "input" || named.iter().any(|(name, _)| *name == self.name);
        ensure!(!taken && !self.name.is_empty(), "the name is empty or taken");
        // Tensors of a checkpoint are named by layers, with a dot before what they are of it.
        ensure!(!self.name.contains('.'), "the name has a dot");
        let inputs = self.inputs(network, named)?;
        let kind = match self.op {
            OpName::Gru => CellKind::Gru,
            OpName::Lstm => CellKind::Lstm,
            _ => return Ok((vec![self.layer(network, inputs)?], None)),
        };
        self.refuse_unused_keys()?;
        let (units, shape) = (required("units", self.units)?, network.shape(inputs[0]));
        ensure!(units <= MAX_UNITS, "units is {units}, it may be {MAX_UNITS} at most");
        ensure!(shape.w <= 255, "an input of {} has more than 255 columns: reshape it", show(shape));
        let steps = 1..=MAX_STEPS;
        ensure!(
            steps.contains(&shape.h),
            "an input of {} has more than {MAX_STEPS} rows, which are the steps",
            show(shape)
        );
        let (first, sequence) = (network.layers.len(), self.sequence == Some(true));
        let (layers, cell) = recurrent::layers(kind, &self.name, first, (inputs[0], shape), units, sequence);
        Ok((layers, Some(cell)))
    }

    fn layer(&self, network: &Network, inputs: Vec<usize>) -> Result<Layer> {
        let shapes: Vec<Shape> = inputs.iter().map(|tensor| network.shape(*tensor)).collect();
        let (op, output) = self.op(&shapes)?;
        self.refuse_unused_keys()?;
        Ok(Layer { name: self.name.clone(), inputs, op, activation: self.activation()?, output })
    }

    fn op(&self, shapes: &[Shape]) -> Result<(LayerOp, Shape)> {
        let input = shapes[0];
        let Shape { h, w, c } = input;
        Ok(match self.op {
            OpName::Conv2d | OpName::Conv1d => self.conv2d(input)?,
            OpName::DepthwiseConv2d => self.depthwise_conv2d(input)?,
            OpName::TransposeConv2d => self.transpose_conv2d(input)?,
            OpName::FullyConnected => {
                let out_ch = required("out_ch", self.out_ch)?;
                (LayerOp::FullyConnected { out_ch }, Shape { h: 1, w: 1, c: out_ch })
            }
            OpName::MaxPool2d => {
                let (window, h, w) = self.windowed(input)?;
                (LayerOp::MaxPool2d { window }, Shape { h, w, c })
            }
            OpName::AveragePool2d => {
                let (window, h, w) = self.windowed(input)?;
                (LayerOp::AveragePool2d { window }, Shape { h, w, c })
            }
            OpName::GlobalMaxPool => {
                let whole = u8::try_from(h).ok().zip(u8::try_from(w).ok());
                let (h, w) = whole.with_context(|| format!("an input of {} is larger than 255", show(input)))?;
                (LayerOp::MaxPool2d { window: Window::new(h, w) }, Shape { h: 1, w: 1, c })
            }
            OpName::GlobalAveragePool => (LayerOp::Mean { axes: Mean::GLOBAL }, Shape { h: 1, w: 1, c }),
            OpName::Mean => self.mean(input)?,
            OpName::Add | OpName::Sub | OpName::Mul | OpName::Minimum | OpName::Maximum => self.binary(shapes)?,
            OpName::Relu | OpName::Relu6 | OpName::Clip => (LayerOp::Clip, input),
            OpName::LeakyRelu => (LayerOp::LeakyRelu { slope: self.slope()? }, input),
            OpName::Prelu => (LayerOp::PRelu { shared: self.shared == Some(true) }, input),
            OpName::Sigmoid => (LayerOp::Curve(Curve::Sigmoid), input),
            OpName::Tanh => (LayerOp::Curve(Curve::Tanh), input),
            OpName::HardSigmoid => (LayerOp::Curve(Curve::HardSigmoid), input),
            OpName::HardSwish => (LayerOp::Curve(Curve::HardSwish), input),
            OpName::Gelu => (LayerOp::Curve(Curve::Gelu), input),
            OpName::Requantize => (LayerOp::Rescale, input),
            OpName::Concat => self.concat(shapes)?,
            OpName::Slice => self.slice(input)?,
            OpName::Pad => self.pad(input)?,
            OpName::Reshape => self.reshape(input)?,
            OpName::Transpose => self.transpose(input)?,
            OpName::UpsampleNearest => (LayerOp::UpsampleNearest, doubled(input)?),
            OpName::UpsampleBilinear => (LayerOp::UpsampleBilinear, doubled(input)?),
            OpName::Gru | OpName::Lstm => unreachable!("a row of layers"),
        })
    }

    fn conv2d(&self, input: Shape) -> Result<(LayerOp, Shape)> {
        let (window, h, w) = self.windowed(input)?;
        let out_ch = required("out_ch", self.out_ch)?;
        let groups = self.groups.unwrap_or(1);
        let divides = groups > 0 && input.c.is_multiple_of(groups) && out_ch.is_multiple_of(groups);
        ensure!(divides, "groups {groups} must divide {} input and {out_ch} output channels", input.c);
        Ok((LayerOp::Conv2d { window, out_ch, groups, batch_norm: self.normalized() }, Shape { h, w, c: out_ch }))
    }

    fn depthwise_conv2d(&self, input: Shape) -> Result<(LayerOp, Shape)> {
        let (window, h, w) = self.windowed(input)?;
        let multiplier = self.multiplier.unwrap_or(1);
        let c = input.c.checked_mul(multiplier).filter(|c| *c > 0).context("multiplier is 0 or too large")?;
        Ok((LayerOp::DepthwiseConv2d { window, multiplier, batch_norm: self.normalized() }, Shape { h, w, c }))
    }

    fn transpose_conv2d(&self, input: Shape) -> Result<(LayerOp, Shape)> {
        let window = self.window(input)?;
        let (h, w) = window.transposed_size(input.h, input.w).context("padding cuts off all of the output")?;
        let out_ch = required("out_ch", self.out_ch)?;
        Ok((LayerOp::TransposeConv2d { window, out_ch, batch_norm: self.normalized() }, Shape { h, w, c: out_ch }))
    }

    fn binary(&self, shapes: &[Shape]) -> Result<(LayerOp, Shape)> {
        let kind = match self.op {
            OpName::Sub => BinaryKind::Sub,
            OpName::Mul => BinaryKind::Mul,
            OpName::Minimum => BinaryKind::Minimum,
            OpName::Maximum => BinaryKind::Maximum,
            _ => BinaryKind::Add,
        };
        let (a, b) = (shapes[0], shapes[1]);
        ensure!(a == b, "its inputs are {} and {}, they must be of one shape", show(a), show(b));
        Ok((LayerOp::Binary(kind), a))
    }

    fn concat(&self, shapes: &[Shape]) -> Result<(LayerOp, Shape)> {
        let axis = self.axis.unwrap_or(2);
        ensure!(axis < 3, "axis is {axis}, it must be 0 (rows), 1 (columns) or 2 (channels)");
        let axis_index = usize::from(axis);
        let mut whole = extents(shapes[0]);
        for shape in &shapes[1..] {
            let own = extents(*shape);
            let fits = (0..3).all(|other| other == axis_index || own[other] == whole[other]);
            ensure!(
                fits,
                "inputs of {} and {} do not fit side by side along axis {axis}",
                show(shapes[0]),
                show(*shape)
            );
            whole[axis_index] = whole[axis_index].checked_add(own[axis_index]).context("the output is too large")?;
        }
        Ok((LayerOp::Concat { axis }, shape_of(whole)))
    }

    fn mean(&self, input: Shape) -> Result<(LayerOp, Shape)> {
        let list = self.axes.as_deref().unwrap_or_default();
        let axes = list.iter().filter(|axis| **axis < 3).fold(0, |axes, axis| axes | 1 << axis);
        let once = list.len() as u32 == u8::count_ones(axes) && !list.is_empty();
        ensure!(
            once,
            "axes is {list:?}, it must hold one or more of 0 (rows), 1 (columns) and 2 (channels), each once"
        );
        let kept = |axis: usize| if axes >> axis & 1 == 1 { 1 } else { extents(input)[axis] };
        Ok((LayerOp::Mean { axes }, shape_of([kept(0), kept(1), kept(2)])))
    }

    fn slice(&self, input: Shape) -> Result<(LayerOp, Shape)> {
        let start = self.start.unwrap_or([0; 3]);
        let size = self.size.context("size is missing")?;
        let inside = (0..3).all(|axis| {
            u32::from(start[axis]) + u32::from(size[axis]) <= extents(input)[axis].into() && size[axis] > 0
        });
        ensure!(inside, "start {start:?} and size {size:?} do not lie in an input of {}", show(input));
        Ok((LayerOp::Slice { start }, shape_of(size)))
    }

    fn pad(&self, input: Shape) -> Result<(LayerOp, Shape)> {
        let (before, after) = (self.before.unwrap_or([0; 3]), self.after.unwrap_or([0; 3]));
        let mut size = extents(input);
        for axis in 0..3 {
            let sum = size[axis].checked_add(before[axis]).and_then(|len| len.checked_add(after[axis]));
            size[axis] = sum.context("the output is too large")?;
        }
        Ok((LayerOp::Pad { before }, shape_of(size)))
    }

    fn reshape(&self, input: Shape) -> Result<(LayerOp, Shape)> {
        let output = shape_of(self.size.context("size is missing")?);
        ensure!(output.len() == input.len(), "{} does not have as many values as {}", show(output), show(input));
        Ok((LayerOp::Reshape, output))
    }

    fn transpose(&self, input: Shape) -> Result<(LayerOp, Shape)> {
        let order = self.order.context("order is missing")?;
        let mut sorted = order;
        sorted.sort_unstable();
        ensure!(sorted == [0, 1, 2], "order is {order:?}, it must hold 0, 1 and 2 once each");
        Ok((LayerOp::Transpose { order }, shape_of(order.map(|axis| extents(input)[usize::from(axis)]))))
    }

    fn slope(&self) -> Result<i16> {
        let slope = self.slope.context("slope is missing")?;
        let unit = f64::from(1_u16 << SLOPE_BITS);
        ensure!((0.0..=255.0).contains(&slope), "slope is {slope}, it must be 0 to 255");
        Ok((slope * unit + 0.5).floor() as i16)
    }

    const fn normalized(&self) -> bool {
        matches!(self.batch_norm, Some(true))
    }

    fn activation(&self) -> Result<LayerActivation> {
        let alone = (self.op == OpName::Relu, self.op == OpName::Relu6);
        let (relu, relu6) = (self.relu == Some(true) || alone.0, self.relu6 == Some(true) || alone.1);
        ensure!(!(relu && relu6), "relu and relu6 exclude each other");
        if let Some([low, high]) = self.clip {
            ensure!(!relu && !relu6, "clip excludes relu and relu6");
            ensure!(
                low.is_finite() && high.is_finite() && low < high,
                "clip is [{low}, {high}], it must be [LEAST, GREATEST]"
            );
            return Ok(LayerActivation::Clip { low, high });
        }
        ensure!(self.op != OpName::Clip, "clip is missing");
        let activation = if relu { LayerActivation::Relu } else { LayerActivation::None };
        Ok(if relu6 { LayerActivation::Relu6 } else { activation })
    }

    /// The window, and rows and columns of the output.
    fn windowed(&self, input: Shape) -> Result<(Window, u16, u16)> {
        let window = self.window(input)?;
        let (h, w) = window.output_size(input.h, input.w).with_context(|| misfit(&window, input))?;
        Ok((window, h, w))
    }

    fn window(&self, input: Shape) -> Result<Window> {
        let one = Pair::Both(1);
        let mut kernel = self.kernel.map_or([0, 0], Pair::get);
        if self.op == OpName::Conv1d && matches!(self.kernel, Some(Pair::Both(_))) {
            ensure!(input.h == 1, "a conv1d reads one row, its input is {}", show(input));
            kernel[0] = 1;
        }
        ensure!(kernel[0] > 0 && kernel[1] > 0, "kernel is missing or 0");
        let [stride_h, stride_w] = self.stride.unwrap_or(one).get();
        let [dilation_h, dilation_w] = self.dilation.unwrap_or(one).get();
        let mut sides = self.padding.unwrap_or(Sides::All(0)).get();
        if self.op == OpName::Conv1d {
            (sides[0], sides[1]) = (0, 0);
        }
        let [pad_top, pad_bottom, pad_left, pad_right] = sides;
        let [kernel_h, kernel_w] = kernel;
        let pads = Window { stride_h, stride_w, dilation_h, dilation_w, ..Window::new(kernel_h, kernel_w) };
        let window = Window { pad_top, pad_bottom, pad_left, pad_right, ..pads };
        for (key, [h, w]) in [("stride", [stride_h, stride_w]), ("dilation", [dilation_h, dilation_w])] {
            ensure!(h > 0 && w > 0, "{key} is {h} x {w}, it must be at least 1");
        }
        // Over an input in which every kernel fits, padding alone can be wrong.
        let padded = window.output_size(u16::MAX / 2, u16::MAX / 2).is_some();
        ensure!(
            padded,
            "padding is {sides:?} (top, bottom, left, right), it must be less than a kernel of {kernel_h} x {kernel_w}"
        );
        Ok(window)
    }

    /// Tensor numbers of a layer's inputs.
    fn inputs(&self, network: &Network, named: &[(String, usize)]) -> Result<Vec<usize>> {
        use OpName::{Add, Concat, Maximum, Minimum, Mul, Sub};
        let arity = match self.op {
            Add | Sub | Mul | Minimum | Maximum => 2..=2,
            Concat => 1..=16,
            _ => 1..=1,
        };
        let count = self.inputs.as_ref().map_or(1, Vec::len);
        let takes = if arity.start() == arity.end() { format!("{}", arity.end()) } else { "1 to 16".to_owned() };
        ensure!(arity.contains(&count), "it has {count} inputs, its operator takes {takes}");
        let Some(names) = &self.inputs else { return Ok(vec![network.layers.len()]) };
        let find = |name: &String| {
            let earlier = named.iter().find(|(earlier, _)| earlier == name).map(|(_, tensor)| *tensor);
            earlier.or((name == "input").then_some(0)).with_context(|| format!("no earlier layer is named {name}"))
        };
        names.iter().map(find).collect()
    }

    /// A key that the operator does not read is a mistake of the user's.
    fn refuse_unused_keys(&self) -> Result<()> {
        use OpName::{
            Add, AveragePool2d, Concat, Conv1d, Conv2d, DepthwiseConv2d, FullyConnected, LeakyRelu, MaxPool2d, Maximum,
            Minimum, Mul, Pad, Reshape, Slice, Sub, Transpose, TransposeConv2d,
        };
        let op = self.op;
        let convolution = matches!(op, Conv1d | Conv2d | DepthwiseConv2d | TransposeConv2d);
        let windowed = convolution || matches!(op, MaxPool2d | AveragePool2d);
        let clips = windowed && op != MaxPool2d
            || matches!(
                op,
                FullyConnected | Add | Sub | Mul | Minimum | Maximum | OpName::GlobalAveragePool | OpName::Mean
            );
        let keys = [
            ("out_ch", self.out_ch.is_some(), matches!(op, Conv1d | Conv2d | TransposeConv2d | FullyConnected)),
            ("multiplier", self.multiplier.is_some(), op == DepthwiseConv2d),
            ("groups", self.groups.is_some(), matches!(op, Conv1d | Conv2d)),
            ("kernel", self.kernel.is_some(), windowed),
            ("stride", self.stride.is_some(), windowed),
            ("dilation", self.dilation.is_some(), matches!(op, Conv1d | Conv2d | DepthwiseConv2d)),
            ("padding", self.padding.is_some(), windowed),
            ("units", self.units.is_some(), matches!(op, OpName::Gru | OpName::Lstm)),
            ("sequence", self.sequence.is_some(), matches!(op, OpName::Gru | OpName::Lstm)),
            ("slope", self.slope.is_some(), op == LeakyRelu),
            ("shared", self.shared.is_some(), op == OpName::Prelu),
            ("axis", self.axis.is_some(), op == Concat),
            ("axes", self.axes.is_some(), op == OpName::Mean),
            ("start", self.start.is_some(), op == Slice),
            ("size", self.size.is_some(), matches!(op, Slice | Reshape)),
            ("before", self.before.is_some(), op == Pad),
            ("after", self.after.is_some(), op == Pad),
            ("order", self.order.is_some(), op == Transpose),
            ("batch_norm", self.batch_norm.is_some(), convolution),
            ("relu", self.relu.is_some(), clips),
            ("relu6", self.relu6.is_some(), clips),
            ("clip", self.clip.is_some(), clips || op == OpName::Clip),
        ];
        for (key, present, used) in keys {
            ensure!(!present || used, "the operator has no key {key}");
        }
        Ok(())
    }
}

fn misfit(window: &Window, input: Shape) -> String {
    format!("a kernel of {} x {} does not fit an input of {}", window.kernel_h, window.kernel_w, show(input))
}

fn show(Shape { h, w, c }: Shape) -> String {
    format!("{h} x {w} x {c}")
}

const fn extents(shape: Shape) -> [u16; 3] {
    [shape.h, shape.w, shape.c]
}

const fn shape_of([h, w, c]: [u16; 3]) -> Shape {
    Shape { h, w, c }
}

fn doubled(input: Shape) -> Result<Shape> {
    let (h, w) = input.h.checked_mul(2).zip(input.w.checked_mul(2)).context("the output is too large")?;
    Ok(Shape { h, w, c: input.c })
}

fn required<T: Default + PartialEq>(key: &str, value: Option<T>) -> Result<T> {
    value.filter(|value| *value != T::default()).with_context(|| format!("{key} is missing or 0"))
}
