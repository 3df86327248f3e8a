//! The fields of every operator.

use serde::{Deserialize, Serialize};

use super::{AFFINE_LINK, Detail, Element, Links, Weights, Window};

/// Bounds of the saturate that ends a node: ReLU and every other clip. Spec 3.3.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Activation {
    /// Least code of the output.
    #[serde(with = "postcard::fixint::le")]
    pub min: i16,
    /// Greatest code of the output.
    #[serde(with = "postcard::fixint::le")]
    pub max: i16,
}

impl Activation {
    /// The whole range of an element: saturation alone.
    #[must_use]
    pub const fn full(element: Element) -> Self {
        Self { min: element.min(), max: element.max() }
    }

    /// ReLU.
    #[must_use]
    pub const fn relu(element: Element) -> Self {
        Self { min: 0, max: element.max() }
    }
}

/// [`Op::Conv2d`](super::Op::Conv2d). Spec 4.1.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
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
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
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
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
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
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
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
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct MaxPool2d {
    /// Tensor read.
    pub input: u16,
    /// Kernel, stride and padding.
    pub window: Window,
    /// Bounds of the output codes.
    pub activation: Activation,
}

/// [`Op::AveragePool2d`](super::Op::AveragePool2d): padding is not counted; dilation is 1. Spec 4.5.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct AveragePool2d<'a> {
    /// Tensor read.
    pub input: u16,
    /// Kernel, stride and padding.
    pub window: Window,
    /// `[K_H * K_W]` i32 in little-endian bytes: the reciprocal of 1, of 2, and so on. None in the affine scheme, which
    /// divides and rounds half away from zero.
    pub multipliers: &'a [u8],
    /// 0 to 30.
    pub right_shift: i8,
    /// Bounds of the output codes.
    pub activation: Activation,
}

impl AveragePool2d<'_> {
    /// True in the affine scheme, whose mean is a division. `LINKS` says which means the program has.
    #[inline]
    pub(crate) const fn divides<const LINKS: Links>(&self) -> bool {
        LINKS & AFFINE_LINK != 0 && (!Detail::Reciprocal.is_in(LINKS) || self.multipliers.is_empty())
    }

    /// The reciprocal of a mean over `count` codes.
    #[must_use]
    pub fn multiplier(&self, count: usize) -> Option<i32> {
        let (multipliers, _) = self.multipliers.as_chunks::<4>();
        count.checked_sub(1).and_then(|index| multipliers.get(index)).map(|bytes| i32::from_le_bytes(*bytes))
    }
}

/// [`Op::Mean`](super::Op::Mean): `(sum * multiplier + half) >> right_shift`. Spec 4.5.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Mean {
    /// Tensor read.
    pub input: u16,
    /// What the mean is over: bit 0 for rows, 1 for columns, 2 for channels.
    pub axes: u8,
    /// At least 1.
    pub multiplier: i32,
    /// 0 to 30.
    pub right_shift: i8,
    /// Bounds of the output codes.
    pub activation: Activation,
}

impl Mean {
    /// Rows and columns: the global average pool.
    pub const GLOBAL: u8 = 0b011;
}

/// What [`Binary`] does with two aligned codes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum BinaryKind {
    /// `a + b`.
    #[default]
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
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Binary {
    /// What is computed.
    pub kind: BinaryKind,
    /// First operand; the output may lie in its place.
    pub a: u16,
    /// Second operand.
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
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Clip {
    /// Tensor read.
    pub input: u16,
    /// Bounds of the output codes.
    pub activation: Activation,
}

/// [`Op::Rescale`](super::Op::Rescale). The output may lie in the input's place. Spec 4.9.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
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
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
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

/// [`Op::Table`](super::Op::Table). The output may lie in the input's place. Spec 4.11.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Table<'a> {
    /// Tensor read.
    pub input: u16,
    /// Codes of the output's element: what the input's least code gives, what the next gives, and so on. Of an input of
    /// 16 bits every 128th code, and one more at the end.
    pub codes: &'a [u8],
}

impl Table<'_> {
    /// Number of entries for an input of an element.
    #[must_use]
    pub const fn entries(input: Element) -> usize {
        match input {
            Element::I8 | Element::U8 => 256,
            Element::I16 => 513,
        }
    }
}

/// Entries of [`Softmax::exponentials`], one for each distance of two `i8`.
pub const SOFTMAX_ENTRIES: usize = 256;

/// [`Op::Softmax`](super::Op::Softmax) over the channels of each pixel, of an input of 8 bits. The output may lie in the
/// input's place. Spec 4.12.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Softmax<'a> {
    /// Tensor read.
    pub input: u16,
    /// `[256]` u16 in little-endian bytes, at most `2^15`: for each distance from the greatest code.
    pub exponentials: &'a [u8],
}

impl Softmax<'_> {
    /// Fraction bits of an output of an element; its exponent is their negative.
    #[must_use]
    pub const fn output_bits(output: Element) -> u32 {
        match output {
            Element::I8 => 7,
            Element::U8 => 8,
            Element::I16 => 15,
        }
    }
}

/// [`Op::Concat`](super::Op::Concat). Spec 4.13.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
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
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Slice {
    /// Tensor read.
    pub input: u16,
    /// First row, column and channel.
    pub start: [u16; 3],
}

/// [`Op::Pad`](super::Op::Pad): what is behind the input follows from the output's shape. Spec 4.15.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Pad {
    /// Tensor read.
    pub input: u16,
    /// Rows, columns and channels before the input.
    pub before: [u16; 3],
    /// Code of the frame.
    pub value: i16,
}

/// [`Op::Reshape`](super::Op::Reshape). The output may lie in the input's place. Spec 4.16.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Reshape {
    /// Tensor read.
    pub input: u16,
}

/// [`Op::Transpose`](super::Op::Transpose). Spec 4.17.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Transpose {
    /// Tensor read.
    pub input: u16,
    /// Axis `i` of the output is axis `order[i]` of the input: a permutation of 0, 1, 2.
    pub order: [u8; 3],
}

/// [`Op::UpsampleNearest`](super::Op::UpsampleNearest). Spec 4.18.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct UpsampleNearest {
    /// Tensor read.
    pub input: u16,
}

/// [`Op::UpsampleBilinear`](super::Op::UpsampleBilinear). Spec 4.18.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct UpsampleBilinear {
    /// Tensor read.
    pub input: u16,
    /// 4 and the distance of the exponents.
    pub right_shift: i8,
    /// Bounds of the output codes.
    pub activation: Activation,
}

/// [`Op::Argmax`](super::Op::Argmax) over the channels of each pixel. Spec 4.19.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Argmax {
    /// Tensor read.
    pub input: u16,
}

/// What [`AffineBinary`] does.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum AffineBinaryKind {
    /// `a + b`.
    #[default]
    Add,
    /// `a - b`.
    Sub,
    /// `a * b`.
    Mul,
}

/// A tensor's part in an [`AffineBinary`].
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct AffineOperand {
    /// Code of 0.
    pub zero: i16,
    /// Q31, not negative; unused for the operands of a product.
    pub multiplier: i32,
    /// Positive values shift left before, negative ones right after the multiplication.
    pub shift: i8,
}

/// [`Op::AffineBinary`](super::Op::AffineBinary). The output may lie in the first operand's place. Spec 4.20.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct AffineBinary {
    /// What is computed.
    pub kind: AffineBinaryKind,
    /// First operand's tensor.
    pub input_a: u16,
    /// Second operand's tensor.
    pub input_b: u16,
    /// First operand.
    pub a: AffineOperand,
    /// Second operand.
    pub b: AffineOperand,
    /// The result.
    pub output: AffineOperand,
    /// Bounds of the output codes.
    pub activation: Activation,
}

/// [`Op::AffineMean`](super::Op::AffineMean): the sum of codes above zero, times a factor. Spec 4.25.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct AffineMean {
    /// Tensor read, of 8 bits.
    pub input: u16,
    /// What the mean is over: bit 0 for rows, 1 for columns, 2 for channels.
    pub axes: u8,
    /// Code of the input that means 0.
    pub input_zero: i16,
    /// Of the result.
    pub output: AffineOperand,
    /// Bounds of the output codes.
    pub activation: Activation,
}

/// [`Op::AffineSoftmax`](super::Op::AffineSoftmax) over the channels of each pixel, of an input of 8 bits and at most 511
/// channels; the output has the scale `2^-8` and its least code for 0. It may lie in the input's place. Spec 4.26.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct AffineSoftmax<'a> {
    /// Tensor read.
    pub input: u16,
    /// i32 in little-endian bytes: `[256]`, for each distance from the greatest code, not negative, in units of `2^-31`; or `[2]`, the
    /// multiplier and left shift of [`Self::scale`], of which they are computed.
    pub exponentials: &'a [u8],
}

impl AffineSoftmax<'_> {
    /// Bytes of [`Self::exponentials`] where they are computed.
    pub const SCALE_BYTES: usize = 8;

    /// Multiplier and left shift of the input's scale, `multiplier * 2^(left_shift - 31)` in units of `2^-26`; `None` where there is a
    /// table.
    #[must_use]
    pub const fn scale(&self) -> Option<(i32, u8)> {
        let ([multiplier, [left_shift, 0, 0, 0]], []) = self.exponentials.as_chunks() else { return None };
        Some((i32::from_le_bytes(*multiplier), *left_shift))
    }

    /// More than these would leave no bit of the least probability.
    pub const MAX_CHANNELS: u16 = 511;

    /// log2 of the output's scale.
    pub const OUTPUT_EXPONENT: i8 = -8;
}

/// [`Op::State`](super::Op::State): what [`Store`] left in the run before. Its tensor keeps its contents between runs.
/// Spec 4.21.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct State {}

/// [`Op::Store`](super::Op::Store): keeps a tensor for the next run. Its tensor is the state's. Spec 4.22.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Store {
    /// Tensor read.
    pub input: u16,
    /// Tensor that a [`State`] wrote.
    pub state: u16,
}

/// [`Op::Stream`](super::Op::Stream): the newest rows behind those of the runs before. Its tensor keeps its contents
/// between runs. Spec 4.23.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Stream {
    /// Tensor read.
    pub input: u16,
}

/// [`Op::PatchInput`](super::Op::PatchInput): begins a stage, which runs once for each patch of what it writes; the part
/// of the input that a patch is computed from. Spec 4.24.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct PatchInput {
    /// Tensor read.
    pub input: u16,
    /// Rows of a patch, at least 1; the last ones may have fewer.
    pub rows: u16,
    /// Columns of a patch, at least 1; the last ones may have fewer.
    pub columns: u16,
    /// Nodes of the stage, this one and its [`PatchOutput`] included.
    pub nodes: u16,
}

/// [`Op::PatchOutput`](super::Op::PatchOutput): ends a stage; puts a patch into its place. Spec 4.24.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct PatchOutput {
    /// Tensor read.
    pub input: u16,
}
