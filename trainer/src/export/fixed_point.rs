//! A network in integers, as training left it: codes, exponents, and no layout decisions yet.

use stepshift_runtime::format::{Activation, AffineBinaryKind, BinaryKind, Element, Shape, WeightBits, Window};

use super::ExportError;

/// Every tensor's exponent and every layer's codes. [`crate::export::encode()`] makes a model file of it.
#[derive(Debug, Clone, PartialEq)]
pub struct FixedPointNetwork {
    /// Tensor 0.
    pub input: FixedPointTensor,
    /// The layers; layer `i` writes tensor `i + 1`.
    pub layers: Vec<FixedPointLayer>,
}

/// An activation tensor: real value = (code - zero) * mantissa * 2^exponent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FixedPointTensor {
    /// Extent, NHWC.
    pub shape: Shape,
    /// Width and sign of the codes.
    pub element: Element,
    /// log2 of the step, but for the mantissa.
    pub exponent: i8,
    /// 1 where the step is a power of two; of an affine scale its whole significand.
    pub mantissa: u32,
    /// Code of 0; not 0 in the affine scheme alone.
    pub zero: i16,
}

impl FixedPointTensor {
    /// A tensor of i8 codes whose step is a power of two.
    #[must_use]
    pub const fn i8(shape: Shape, exponent: i8) -> Self {
        Self { shape, element: Element::I8, exponent, mantissa: 1, zero: 0 }
    }

    /// Bytes of the codes.
    #[must_use]
    pub const fn bytes(&self) -> usize {
        self.shape.len() * self.element.bytes()
    }

    /// What a difference of 1 between codes means.
    #[must_use]
    pub fn step(&self) -> f64 {
        f64::from(self.mantissa) * 2_f64.powi(self.exponent.into())
    }

    /// log2 of the step, rounded down where the step is no power of two.
    #[must_use]
    pub fn log2_step(&self) -> i32 {
        log2_step(self.exponent, self.mantissa)
    }

    /// True where the step is a power of two and code 0 means 0.
    #[must_use]
    pub const fn is_power_of_two(&self) -> bool {
        self.mantissa == 1 && self.zero == 0
    }

    /// The value that a code means.
    #[must_use]
    pub fn value(&self, code: i32) -> f64 {
        f64::from(code - i32::from(self.zero)) * self.step()
    }
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
    /// The same in the affine scheme: a division that rounds half away from zero. Input and output share one scale.
    AffineAveragePool2d {
        /// Kernel, stride, padding.
        window: Window,
    },
    /// Mean over whole axes, by the reciprocal of [`crate::export::reciprocal()`].
    Mean {
        /// Bit 0 for rows, 1 for columns, 2 for channels.
        axes: u8,
    },
    /// The same in the affine scheme, to a scale of its own. Spec 4.25.
    AffineMean {
        /// Bit 0 for rows, 1 for columns, 2 for channels.
        axes: u8,
    },
    /// Two tensors of one shape, code by code.
    Binary(BinaryKind),
    /// Two tensors of one shape in the affine scheme, code by code.
    AffineBinary(AffineBinaryKind),
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
    /// A curve: what the input's least code gives, what the next one gives, and so on; of an input of 16 bits what every
    /// 128th gives, 513 in all.
    Table {
        /// Codes of the output.
        codes: Vec<i16>,
    },
    /// Softmax over the channels of each pixel; exponent of the output is -7 for i8, -8 for u8, -15 for i16.
    Softmax,
    /// The same in the affine scheme; the output's scale is `2^-8`, its zero its least code. Spec 4.26.
    AffineSoftmax,
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
        value: i16,
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
    /// Index of the greatest channel of each pixel; exponent of the output is 0.
    Argmax,
    /// What the store of this state left in the run before; 0 in the first one.
    State,
    /// Keeps its first input for the next run, in its second, which a [`Self::State`] wrote.
    Store,
    /// The input's rows behind those of the runs before, as many as the output has.
    Stream,
    /// Begins a stage that runs patch by patch; [`crate::export::patches`] makes it.
    PatchInput(Patch),
    /// Ends it.
    PatchOutput,
}

/// How a stage is cut into patches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Patch {
    /// Rows of a patch of the stage's output.
    pub rows: u16,
    /// Columns of a patch of the stage's output.
    pub columns: u16,
    /// Layers of the stage, its ends included.
    pub nodes: usize,
}

/// Weights and biases of one layer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FixedPointWeights {
    /// Width of a code.
    pub bits: WeightBits,
    /// Narrow codes, `-(2^(bits - 1) - 1)` to `2^(bits - 1) - 1`, in the operator's layout.
    pub codes: Vec<i16>,
    /// One exponent for each output channel.
    pub exponents: Vec<i8>,
    /// Significands of affine scales, one for each output channel; empty where steps are powers of two.
    pub mantissas: Vec<u32>,
    /// One bias for each output channel, at the accumulator's step (input times weight); i64 so
    /// that an overflow is reported rather than wrapped. Neither the rounding constant nor a zero point is in it.
    pub bias: Vec<i64>,
}

impl FixedPointWeights {
    /// log2 of the step of each output channel, rounded down where it is no power of two.
    pub fn log2_steps(&self) -> impl Iterator<Item = i32> + Clone {
        let mantissas = self.mantissas.iter().copied().chain(std::iter::repeat(1));
        self.exponents.iter().zip(mantissas).map(|(exponent, mantissa)| log2_step(*exponent, mantissa))
    }
}

fn log2_step(exponent: i8, mantissa: u32) -> i32 {
    i32::from(exponent) + mantissa.max(1).ilog2().cast_signed()
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

    /// As [`Self::weights`], to be changed.
    pub fn weights_mut(&mut self) -> Option<&mut FixedPointWeights> {
        match self {
            Self::Conv2d { weights, .. }
            | Self::DepthwiseConv2d { weights, .. }
            | Self::TransposeConv2d { weights, .. }
            | Self::FullyConnected { weights } => Some(weights),
            _ => None,
        }
    }

    /// True where what it writes keeps its contents between runs.
    #[must_use]
    pub const fn is_kept(&self) -> bool {
        matches!(self, Self::State | Self::Stream)
    }

    /// How many tensors the operator reads.
    fn arity(&self) -> std::ops::RangeInclusive<usize> {
        match self {
            Self::State => 0..=0,
            Self::Binary(_) | Self::AffineBinary(_) | Self::Store => 2..=2,
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

    /// Shape of what a layer reads first; of a state, which reads nothing, its own.
    #[must_use]
    pub fn operand(&self, layer: &FixedPointLayer) -> Shape {
        layer.inputs.first().map_or(layer.output, |input| self.tensor(*input)).shape
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
            if let FixedPointOp::Store = layer.op {
                let state = layer.inputs[1].checked_sub(1).filter(|state| *state < index);
                if !state.is_some_and(|state| self.layers[state].op == FixedPointOp::State) {
                    return refuse("its second input is not what a state wrote".to_owned());
                }
                let stored = layer.inputs[1];
                let later = self.layers[index + 1..].iter().find(|layer| layer.inputs.contains(&stored));
                if let Some(later) = later {
                    return refuse(format!("layer {} reads the state after this layer stored into it", later.name));
                }
                used[index + 1] = true;
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
                let greatest = weights.bits.max();
                if let Some(code) = weights.codes.iter().find(|code| code.unsigned_abs() > greatest.unsigned_abs()) {
                    let bits = weights.bits.bits();
                    return refuse(format!(
                        "weight {code} is not in -{greatest} to {greatest}, the range of {bits} bits"
                    ));
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
