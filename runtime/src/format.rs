//! The model file: one postcard message, read in place. `spec/format.md` is normative.
//!
//! The types here are the message's meaning. [`crate::Model`] walks the bytes and hands these
//! types out one at a time; a host serializes the same types to write a file.

use serde::{Deserialize, Serialize};

/// First bytes of every model file.
pub const MAGIC: [u8; 4] = *b"STSH";

/// The format version that this crate reads and writes.
pub const FORMAT_VERSION: u16 = 1;

/// Length in bytes of an encoded [`Header`].
pub const HEADER_BYTES: usize = 10;

/// Length in bytes of an encoded [`TensorRecord`]: every field is of fixed width, so that a
/// tensor is found by its index alone.
pub const TENSOR_RECORD_BYTES: usize = 14;

/// Leads the file; every field is of fixed width. Format 2.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Header {
    /// [`MAGIC`].
    pub magic: [u8; 4],
    /// [`FORMAT_VERSION`] of the writer.
    #[serde(with = "postcard::fixint::le")]
    pub version: u16,
    /// CRC-32 (ISO HDLC) of every byte behind the header.
    #[serde(with = "postcard::fixint::le")]
    pub crc: u32,
}

/// Extent of an activation tensor, stored row by row with channels innermost (NHWC, N = 1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Shape {
    /// Rows.
    #[serde(with = "postcard::fixint::le")]
    pub h: u16,
    /// Columns.
    #[serde(with = "postcard::fixint::le")]
    pub w: u16,
    /// Channels.
    #[serde(with = "postcard::fixint::le")]
    pub c: u16,
}

impl Shape {
    /// Number of codes, saturating at `usize::MAX`.
    #[must_use]
    pub const fn len(self) -> usize {
        (self.h as usize).saturating_mul(self.w as usize).saturating_mul(self.c as usize)
    }

    /// True when one extent is zero.
    #[must_use]
    pub const fn is_empty(self) -> bool {
        self.len() == 0
    }
}

/// An activation tensor of `i8` codes: real value = code * 2^exponent. Format 3.
///
/// Tensor 0 is the model's input; node `i` writes tensor `i + 1`; the last one is the output.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct TensorRecord {
    /// Offset of the first code in the arena, in bytes.
    #[serde(with = "postcard::fixint::le")]
    pub offset: u32,
    /// Extent.
    pub shape: Shape,
    /// log2 of the step.
    pub exponent: i8,
    /// Reserved, zero.
    pub reserved: u8,
    /// Index of the last node that reads this tensor; the number of nodes for the model's output.
    #[serde(with = "postcard::fixint::le")]
    pub last_use: u16,
}

impl TensorRecord {
    /// A tensor without codes.
    pub const EMPTY: Self =
        Self { offset: 0, shape: Shape { h: 0, w: 0, c: 0 }, exponent: 0, reserved: 0, last_use: 0 };

    /// The bytes of the arena that hold the codes.
    #[must_use]
    pub const fn region(&self) -> core::ops::Range<usize> {
        let start = self.offset as usize;
        start..start.saturating_add(self.shape.len())
    }
}

/// The whole message, for writing one: header, arena size, tensors, nodes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct ModelFile<'a> {
    /// Magic number, version, checksum.
    pub header: Header,
    /// Bytes of arena that a run needs.
    pub arena_bytes: u32,
    /// Input first, then the output of each node.
    pub tensors: &'a [TensorRecord],
    /// In the order of execution.
    pub nodes: &'a [Node<'a>],
}

/// One operator with the name of its layer. Format 4.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Node<'a> {
    /// The layer's name in the trainer, UTF-8.
    #[serde(borrow)]
    pub name: &'a str,
    /// What the node computes.
    #[serde(borrow)]
    pub op: Op<'a>,
}

/// The operators. The order of the variants is part of the format.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Op<'a> {
    /// 2-D convolution; a pointwise one has a 1x1 kernel.
    #[serde(borrow)]
    Conv2d(Conv2d<'a>),
    /// Depthwise 2-D convolution; each input channel feeds `C_OUT / C_IN` output channels.
    #[serde(borrow)]
    DepthwiseConv2d(Conv2d<'a>),
    /// Fully connected layer over the flattened input.
    #[serde(borrow)]
    FullyConnected(FullyConnected<'a>),
    /// Maximum over a window.
    MaxPool2d(MaxPool2d),
    /// Mean over all rows and columns.
    GlobalAveragePool(GlobalAveragePool),
    /// Sum of two tensors of one shape.
    Add(Add),
    /// Saturate into a narrower range, ReLU for one.
    Clip(Clip),
}

/// Bounds of the saturate that ends a node: ReLU and every other clip. Spec 3.3.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Activation {
    /// Least code of the output.
    pub min: i8,
    /// Greatest code of the output.
    pub max: i8,
}

impl Activation {
    /// The whole range of an `i8`: saturation alone.
    pub const FULL: Self = Self { min: i8::MIN, max: i8::MAX };
    /// ReLU.
    pub const RELU: Self = Self { min: 0, max: i8::MAX };
}

/// A window that slides over rows and columns.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Window {
    /// Rows of the kernel, at least 1.
    pub kernel_h: u8,
    /// Columns of the kernel, at least 1.
    pub kernel_w: u8,
    /// Rows from one output to the next, at least 1.
    pub stride_h: u8,
    /// Columns from one output to the next, at least 1.
    pub stride_w: u8,
    /// Rows of padding above, less than `kernel_h`.
    pub pad_top: u8,
    /// Rows of padding below, less than `kernel_h`.
    pub pad_bottom: u8,
    /// Columns of padding on the left, less than `kernel_w`.
    pub pad_left: u8,
    /// Columns of padding on the right, less than `kernel_w`.
    pub pad_right: u8,
}

impl Window {
    /// Rows and columns of the output over an input of `h` rows and `w` columns, or `None` where
    /// the window does not fit or is not a legal one.
    #[must_use]
    pub fn output_size(&self, h: u16, w: u16) -> Option<(u16, u16)> {
        let extent = |len: u16, kernel: u8, stride: u8, before: u8, after: u8| {
            let legal = kernel > 0 && stride > 0 && before < kernel && after < kernel;
            let padded = u32::from(len) + u32::from(before) + u32::from(after);
            let steps = padded.checked_sub(u32::from(kernel))?.checked_div(u32::from(stride))?;
            u16::try_from(steps + 1).ok().filter(|_| legal)
        };
        Some((
            extent(h, self.kernel_h, self.stride_h, self.pad_top, self.pad_bottom)?,
            extent(w, self.kernel_w, self.stride_w, self.pad_left, self.pad_right)?,
        ))
    }
}

/// The constants of a layer that accumulates products. Spec 2 and 3.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Weights<'a> {
    /// `i8` codes; their layout is the operator's.
    pub codes: &'a [u8],
    /// `[C_OUT]` i32 in little-endian bytes, at the accumulator's exponent; holds the rounding
    /// constant `2^(right_shift - 1)` as well.
    pub bias: &'a [u8],
    /// `[C_OUT]` i8: a positive value shifts the accumulator right, a negative one left.
    pub right_shift: &'a [u8],
}

impl<'a> Weights<'a> {
    /// The codes as integers.
    #[must_use]
    pub fn codes(&self) -> &'a [i8] {
        bytemuck::must_cast_slice(self.codes)
    }

    /// Bias and shift of each output channel.
    pub fn channels(&self) -> impl Iterator<Item = Channel> + Clone + use<'a> {
        let (biases, _) = self.bias.as_chunks::<4>();
        let right_shifts: &[i8] = bytemuck::must_cast_slice(self.right_shift);
        biases
            .iter()
            .zip(right_shifts)
            .map(|(bias, right_shift)| Channel { bias: i32::from_le_bytes(*bias), right_shift: *right_shift })
    }
}

/// What one output channel starts from and ends in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Channel {
    /// First value of the accumulator, rounding constant included.
    pub bias: i32,
    /// Shift of the accumulator.
    pub right_shift: i8,
}

/// [`Op::Conv2d`] and [`Op::DepthwiseConv2d`]. Spec 4.1, 4.2.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Conv2d<'a> {
    /// Tensor read.
    pub input: u16,
    /// Kernel, stride and padding; padding reads as code 0.
    pub window: Window,
    /// `[C_OUT, K_H, K_W, C_IN]`, or `[1, K_H, K_W, C_OUT]` where depthwise.
    #[serde(borrow)]
    pub weights: Weights<'a>,
    /// Bounds of the output codes.
    pub activation: Activation,
}

/// [`Op::FullyConnected`]. Spec 4.3.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct FullyConnected<'a> {
    /// Tensor read, flattened in NHWC order.
    pub input: u16,
    /// `[C_OUT, H * W * C_IN]`.
    #[serde(borrow)]
    pub weights: Weights<'a>,
    /// Bounds of the output codes.
    pub activation: Activation,
}

/// [`Op::MaxPool2d`]. Padding never wins. Spec 4.4.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct MaxPool2d {
    /// Tensor read.
    pub input: u16,
    /// Kernel, stride and padding.
    pub window: Window,
    /// Bounds of the output codes.
    pub activation: Activation,
}

/// [`Op::GlobalAveragePool`]: `(sum * multiplier + 2^(right_shift - 1)) >> right_shift`. Spec 4.5.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct GlobalAveragePool {
    /// Tensor read.
    pub input: u16,
    /// At least 1.
    pub multiplier: i32,
    /// 0 to 30.
    pub right_shift: i8,
    /// Bounds of the output codes.
    pub activation: Activation,
}

/// [`Op::Add`]: `((a << a_shift) + (b << b_shift) + half) >> right_shift`. Spec 4.6.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Add {
    /// First operand; the output may lie in its place.
    pub a: u16,
    /// Second operand, not in the place of the first.
    pub b: u16,
    /// Aligns the first operand, 0 to 22.
    pub a_shift: u8,
    /// Aligns the second operand, 0 to 22.
    pub b_shift: u8,
    /// A positive value shifts right after adding half, a negative one left.
    pub right_shift: i8,
    /// Bounds of the output codes.
    pub activation: Activation,
}

/// [`Op::Clip`]. Input and output share one exponent; the output may lie in the input's place.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Clip {
    /// Tensor read.
    pub input: u16,
    /// Bounds of the output codes.
    pub activation: Activation,
}
