//! The fields of every operator.

use serde::{Deserialize, Serialize};

use super::{Weights, Window};

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

/// [`Op::Conv2d`](super::Op::Conv2d). Spec 4.1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Conv2d<'a> {
    /// Tensor read.
    pub input: u16,
    /// Kernel, stride, dilation and padding; padding reads as code 0.
    pub window: Window,
    /// Divides input and output channels: group `g` of the output reads group `g` of the input.
    pub groups: u16,
    /// `[C_OUT, K_H, K_W, C_IN / groups]`.
    #[serde(borrow)]
    pub weights: Weights<'a>,
    /// Bounds of the output codes.
    pub activation: Activation,
}

/// [`Op::DepthwiseConv2d`](super::Op::DepthwiseConv2d). Spec 4.2.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct DepthwiseConv2d<'a> {
    /// Tensor read.
    pub input: u16,
    /// Kernel, stride, dilation and padding; padding reads as code 0.
    pub window: Window,
    /// `[1, K_H, K_W, C_OUT]`.
    #[serde(borrow)]
    pub weights: Weights<'a>,
    /// Bounds of the output codes.
    pub activation: Activation,
}

/// [`Op::TransposeConv2d`](super::Op::TransposeConv2d). Spec 4.8.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct TransposeConv2d<'a> {
    /// Tensor read.
    pub input: u16,
    /// Kernel and stride; padding is what is cut off the output. Dilation is 1.
    pub window: Window,
    /// `[C_OUT, K_H, K_W, C_IN]`.
    #[serde(borrow)]
    pub weights: Weights<'a>,
    /// Bounds of the output codes.
    pub activation: Activation,
}

/// [`Op::FullyConnected`](super::Op::FullyConnected). Spec 4.3.
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

/// [`Op::MaxPool2d`](super::Op::MaxPool2d). Padding never wins; dilation is 1. Spec 4.4.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct MaxPool2d {
    /// Tensor read.
    pub input: u16,
    /// Kernel, stride and padding.
    pub window: Window,
    /// Bounds of the output codes.
    pub activation: Activation,
}

/// [`Op::AveragePool2d`](super::Op::AveragePool2d): padding is not counted; dilation is 1. Spec 4.5.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct AveragePool2d<'a> {
    /// Tensor read.
    pub input: u16,
    /// Kernel, stride and padding.
    pub window: Window,
    /// `[K_H * K_W]` i32 in little-endian bytes: the reciprocal of 1, of 2, and so on.
    pub multipliers: &'a [u8],
    /// 0 to 30.
    pub right_shift: i8,
    /// Bounds of the output codes.
    pub activation: Activation,
}

impl AveragePool2d<'_> {
    /// The reciprocal of a mean over `count` codes.
    #[must_use]
    pub fn multiplier(&self, count: usize) -> Option<i32> {
        let (multipliers, _) = self.multipliers.as_chunks::<4>();
        count.checked_sub(1).and_then(|index| multipliers.get(index)).map(|bytes| i32::from_le_bytes(*bytes))
    }
}

/// [`Op::GlobalAveragePool`](super::Op::GlobalAveragePool): `(sum * multiplier + half) >> right_shift`. Spec 4.5.
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

/// What [`Binary`] does with two aligned codes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum BinaryKind {
    /// `a + b`.
    Add,
    /// `a - b`.
    Sub,
    /// `a * b`; both shifts are 0.
    Mul,
    /// The lesser.
    Minimum,
    /// The greater.
    Maximum,
}

/// [`Op::Binary`](super::Op::Binary): `(kind(a << a_shift, b << b_shift) + half) >> right_shift`. Spec 4.6.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Binary {
    /// What is computed.
    pub kind: BinaryKind,
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

/// [`Op::Clip`](super::Op::Clip). Input and output share one exponent; the output may lie in the input's place. Spec 4.7.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Clip {
    /// Tensor read.
    pub input: u16,
    /// Bounds of the output codes.
    pub activation: Activation,
}

/// [`Op::Rescale`](super::Op::Rescale). The output may lie in the input's place. Spec 4.9.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rescale {
    /// Tensor read.
    pub input: u16,
    /// A positive value shifts right after adding half, a negative one left.
    pub right_shift: i8,
    /// Bounds of the output codes.
    pub activation: Activation,
}

/// [`Op::LeakyRelu`](super::Op::LeakyRelu): leaky ReLU with one slope, PReLU with one a channel. The output may lie in the
/// input's place. Spec 4.10.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct LeakyRelu<'a> {
    /// Tensor read.
    pub input: u16,
    /// `[1]` or `[C]` i16 in little-endian bytes, in units of `2^-slope_bits`.
    pub slopes: &'a [u8],
    /// 0 to 15.
    pub slope_bits: u8,
    /// `slope_bits` and the distance of the exponents.
    pub right_shift: i8,
    /// Bounds of the output codes.
    pub activation: Activation,
}

/// Entries of [`Table::codes`], one for each `i8`.
pub const TABLE_ENTRIES: usize = 256;

/// [`Op::Table`](super::Op::Table). The output may lie in the input's place. Spec 4.11.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Table<'a> {
    /// Tensor read.
    pub input: u16,
    /// `[256]` i8: what -128 gives, what -127 gives, and so on.
    pub codes: &'a [u8],
}

/// Entries of [`Softmax::exponentials`], one for each distance of two `i8`.
pub const SOFTMAX_ENTRIES: usize = 256;

/// [`Op::Softmax`](super::Op::Softmax) over the channels of each pixel. The output may lie in the input's place and has
/// exponent -7. Spec 4.12.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Softmax<'a> {
    /// Tensor read.
    pub input: u16,
    /// `[256]` u16 in little-endian bytes, at most `2^15`: for each distance from the greatest code.
    pub exponentials: &'a [u8],
}

/// [`Op::Concat`](super::Op::Concat). Spec 4.13.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Concat<'a> {
    /// `[N]` u16 in little-endian bytes: tensors read, N from 1 to 16.
    pub inputs: &'a [u8],
    /// `[N]` i8: from each input's exponent to the output's.
    pub right_shifts: &'a [u8],
    /// Along rows (0), columns (1) or channels (2).
    pub axis: u8,
    /// Bounds of the output codes.
    pub activation: Activation,
}

impl Concat<'_> {
    /// Tensor and shift of every input.
    pub fn operands(&self) -> impl Iterator<Item = (u16, i8)> {
        let (inputs, _) = self.inputs.as_chunks::<2>();
        let right_shifts = self.right_shifts.iter().map(|shift| shift.cast_signed());
        inputs.iter().map(|bytes| u16::from_le_bytes(*bytes)).zip(right_shifts)
    }
}

/// [`Op::Slice`](super::Op::Slice): as many rows, columns and channels as the output has. Spec 4.14.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Slice {
    /// Tensor read.
    pub input: u16,
    /// First row, column and channel.
    pub start: [u16; 3],
}

/// [`Op::Pad`](super::Op::Pad): what is behind the input follows from the output's shape. Spec 4.15.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pad {
    /// Tensor read.
    pub input: u16,
    /// Rows, columns and channels before the input.
    pub before: [u16; 3],
    /// Code of the frame.
    pub value: i8,
}

/// [`Op::Reshape`](super::Op::Reshape). The output may lie in the input's place. Spec 4.16.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reshape {
    /// Tensor read.
    pub input: u16,
}

/// [`Op::Transpose`](super::Op::Transpose). Spec 4.17.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Transpose {
    /// Tensor read.
    pub input: u16,
    /// Axis `i` of the output is axis `order[i]` of the input: a permutation of 0, 1, 2.
    pub order: [u8; 3],
}

/// [`Op::UpsampleNearest`](super::Op::UpsampleNearest). Spec 4.18.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct UpsampleNearest {
    /// Tensor read.
    pub input: u16,
}

/// [`Op::UpsampleBilinear`](super::Op::UpsampleBilinear). Spec 4.18.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct UpsampleBilinear {
    /// Tensor read.
    pub input: u16,
    /// 4 and the distance of the exponents.
    pub right_shift: i8,
    /// Bounds of the output codes.
    pub activation: Activation,
}
