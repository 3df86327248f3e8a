//! Decodes nodes in place, of the operators alone that a program links.
//!
//! The bytes are postcard's, and postcard decodes the same values; reading them here takes half of the flash and of the
//! stack, since the fields are known to follow one another.

use super::weights::WeightBits;
use super::{
    Activation, AffineBinary, AffineBinaryKind, AffineOperand, Argmax, AveragePool2d, Binary, BinaryKind, Clip, Concat,
    Conv2d, DepthwiseConv2d, Epilogue, FullyConnected, LeakyRelu, MaxPool2d, Mean, Multiply, Node, Op, OperatorKind,
    Packing, Pad, PatchInput, PatchOutput, Rescale, Reshape, Scratch, Slice, Softmax, State, Store, Stream, Table,
    Transpose, TransposeConv2d, UpsampleBilinear, UpsampleNearest, Weights, Window,
};

/// Decodes one node; what is behind it is returned too. `None` for an operator that is not in `LINKS`.
pub(crate) fn take_node<const LINKS: u64>(bytes: &[u8]) -> Option<(Node<'_>, &[u8])> {
    let mut reader = Reader(bytes);
    let name = core::str::from_utf8(reader.bytes()?).ok()?;
    let index = reader.varint()?;
    let op = take_op::<LINKS>(index, &mut reader)?;
    Some((Node { name, op }, reader.0))
}

/// One arm for each operator: those that are not linked are constants to the compiler, and gone with all they call.
fn take_op<'a, const LINKS: u64>(index: u32, reader: &mut Reader<'a>) -> Option<Op<'a>> {
    let is = |kind: OperatorKind| kind.is_in(LINKS) && index == kind as u32;
    if is(OperatorKind::Conv2d) {
        return reader.take().map(Op::Conv2d);
    }
    if is(OperatorKind::DepthwiseConv2d) {
        return reader.take().map(Op::DepthwiseConv2d);
    }
    if is(OperatorKind::TransposeConv2d) {
        return reader.take().map(Op::TransposeConv2d);
    }
    if is(OperatorKind::FullyConnected) {
        return reader.take().map(Op::FullyConnected);
    }
    if is(OperatorKind::MaxPool2d) {
        return reader.take().map(Op::MaxPool2d);
    }
    if is(OperatorKind::AveragePool2d) {
        return reader.take().map(Op::AveragePool2d);
    }
    if is(OperatorKind::Mean) {
        return reader.take().map(Op::Mean);
    }
    if is(OperatorKind::Binary) {
        return reader.take().map(Op::Binary);
    }
    if is(OperatorKind::Clip) {
        return reader.take().map(Op::Clip);
    }
    if is(OperatorKind::Rescale) {
        return reader.take().map(Op::Rescale);
    }
    if is(OperatorKind::LeakyRelu) {
        return reader.take().map(Op::LeakyRelu);
    }
    if is(OperatorKind::Table) {
        return reader.take().map(Op::Table);
    }
    if is(OperatorKind::Softmax) {
        return reader.take().map(Op::Softmax);
    }
    if is(OperatorKind::Concat) {
        return reader.take().map(Op::Concat);
    }
    if is(OperatorKind::Slice) {
        return reader.take().map(Op::Slice);
    }
    if is(OperatorKind::Pad) {
        return reader.take().map(Op::Pad);
    }
    if is(OperatorKind::Reshape) {
        return reader.take().map(Op::Reshape);
    }
    if is(OperatorKind::Transpose) {
        return reader.take().map(Op::Transpose);
    }
    if is(OperatorKind::UpsampleNearest) {
        return reader.take().map(Op::UpsampleNearest);
    }
    if is(OperatorKind::UpsampleBilinear) {
        return reader.take().map(Op::UpsampleBilinear);
    }
    if is(OperatorKind::Argmax) {
        return reader.take().map(Op::Argmax);
    }
    if is(OperatorKind::AffineBinary) {
        return reader.take().map(Op::AffineBinary);
    }
    if is(OperatorKind::State) {
        return reader.take().map(Op::State);
    }
    if is(OperatorKind::Store) {
        return reader.take().map(Op::Store);
    }
    if is(OperatorKind::Stream) {
        return reader.take().map(Op::Stream);
    }
    if is(OperatorKind::PatchInput) {
        return reader.take().map(Op::PatchInput);
    }
    if is(OperatorKind::PatchOutput) {
        return reader.take().map(Op::PatchOutput);
    }
    None
}

/// Bytes that were not read yet.
struct Reader<'a>(&'a [u8]);

/// Longest encoding of 32 bits, seven in a byte.
const VARINT_BYTES: u32 = 5;

impl<'a> Reader<'a> {
    fn take<T: Take<'a>>(&mut self) -> Option<T> {
        T::take(self)
    }

    #[inline(never)]
    fn byte(&mut self) -> Option<u8> {
        let (first, rest) = self.0.split_first()?;
        self.0 = rest;
        Some(*first)
    }

    /// Seven bits a byte, the lowest first; the top bit says that more follow.
    #[inline(never)]
    fn varint(&mut self) -> Option<u32> {
        let mut value = 0;
        for index in 0..VARINT_BYTES {
            let byte = self.byte()?;
            if index == VARINT_BYTES - 1 && byte > 0xf {
                return None;
            }
            value |= u32::from(byte & 0x7f) << ((7 * index) & 31);
            if byte & 0x80 == 0 {
                return Some(value);
            }
        }
        None
    }

    /// A signed number: its sign in the lowest bit.
    fn zigzag(&mut self) -> Option<i32> {
        let value = self.varint()?;
        Some((value >> 1).cast_signed() ^ (value & 1).wrapping_neg().cast_signed())
    }

    /// A length, and as many bytes.
    #[inline(never)]
    fn bytes(&mut self) -> Option<&'a [u8]> {
        let len = usize::try_from(self.varint()?).ok()?;
        let (bytes, rest) = self.0.split_at_checked(len)?;
        self.0 = rest;
        Some(bytes)
    }
}

/// A value that is read from its place.
trait Take<'a>: Sized {
    fn take(reader: &mut Reader<'a>) -> Option<Self>;
}

impl<'a> Take<'a> for u8 {
    fn take(reader: &mut Reader<'a>) -> Option<Self> {
        reader.byte()
    }
}

impl<'a> Take<'a> for u32 {
    fn take(reader: &mut Reader<'a>) -> Option<Self> {
        reader.varint()
    }
}

impl<'a> Take<'a> for i8 {
    fn take(reader: &mut Reader<'a>) -> Option<Self> {
        reader.byte().map(u8::cast_signed)
    }
}

impl<'a> Take<'a> for u16 {
    fn take(reader: &mut Reader<'a>) -> Option<Self> {
        reader.varint()?.try_into().ok()
    }
}

impl<'a> Take<'a> for i16 {
    fn take(reader: &mut Reader<'a>) -> Option<Self> {
        reader.zigzag()?.try_into().ok()
    }
}

impl<'a> Take<'a> for i32 {
    fn take(reader: &mut Reader<'a>) -> Option<Self> {
        reader.zigzag()
    }
}

impl<'a> Take<'a> for &'a [u8] {
    fn take(reader: &mut Reader<'a>) -> Option<Self> {
        reader.bytes()
    }
}

impl<'a, T: Take<'a>> Take<'a> for [T; 3] {
    fn take(reader: &mut Reader<'a>) -> Option<Self> {
        Some([reader.take()?, reader.take()?, reader.take()?])
    }
}

impl<'a> Take<'a> for Activation {
    /// Two numbers of fixed width.
    #[inline(never)]
    fn take(reader: &mut Reader<'a>) -> Option<Self> {
        let (bytes, rest) = reader.0.split_first_chunk::<4>()?;
        reader.0 = rest;
        let [a, b, c, d] = *bytes;
        Some(Self { min: i16::from_le_bytes([a, b]), max: i16::from_le_bytes([c, d]) })
    }
}

impl<'a> Take<'a> for Window {
    #[inline(never)]
    fn take(reader: &mut Reader<'a>) -> Option<Self> {
        let (bytes, rest) = reader.0.split_first_chunk::<10>()?;
        reader.0 = rest;
        let [kernel_h, kernel_w, stride_h, stride_w, dilation_h, dilation_w, pad_top, pad_bottom, pad_left, pad_right] =
            *bytes;
        Some(Self {
            kernel_h,
            kernel_w,
            stride_h,
            stride_w,
            dilation_h,
            dilation_w,
            pad_top,
            pad_bottom,
            pad_left,
            pad_right,
        })
    }
}

impl<'a> Take<'a> for Epilogue<'a> {
    fn take(reader: &mut Reader<'a>) -> Option<Self> {
        match reader.varint()? {
            0 => reader.take().map(Self::Shift),
            1 => reader.take().map(Self::Multiply),
            _ => None,
        }
    }
}

/// Values that are told apart by a number alone.
macro_rules! choices {
    ($name:ident: $($choice:ident),*) => {
        impl<'a> Take<'a> for $name {
            fn take(reader: &mut Reader<'a>) -> Option<Self> {
                let index = reader.varint()?;
                $(if index == Self::$choice as u32 {
                    return Some(Self::$choice);
                })*
                None
            }
        }
    };
}

/// Values whose fields follow one another.
macro_rules! fields {
    ($name:ty: $($field:ident),*) => {
        impl<'a> Take<'a> for $name {
            fn take(reader: &mut Reader<'a>) -> Option<Self> {
                let _ = &reader;
                Some(Self { $($field: reader.take()?),* })
            }
        }
    };
}

choices!(WeightBits: Two, Four, Eight, Sixteen);
choices!(Packing: Plain, Pairs, Blocks, Fours);
choices!(BinaryKind: Add, Sub, Mul, Minimum, Maximum);
choices!(AffineBinaryKind: Add, Sub, Mul);

impl<'a> Take<'a> for Weights<'a> {
    #[inline(never)]
    fn take(reader: &mut Reader<'a>) -> Option<Self> {
        Some(Self {
            bits: reader.take()?,
            packing: reader.take()?,
            scratch: reader.take()?,
            padding: reader.take()?,
            codes: reader.take()?,
            bias: reader.take()?,
            epilogue: reader.take()?,
        })
    }
}

fields!(Scratch: offset, bytes);
fields!(Multiply<'a>: multipliers, shifts, output_zero, input_zero);
fields!(AffineOperand: zero, multiplier, shift);
fields!(Conv2d<'a>: input, window, groups, weights, activation);
fields!(DepthwiseConv2d<'a>: input, window, weights, activation);
fields!(TransposeConv2d<'a>: input, window, weights, activation);
fields!(FullyConnected<'a>: input, weights, activation);
fields!(MaxPool2d: input, window, activation);
fields!(AveragePool2d<'a>: input, window, multipliers, right_shift, activation);
fields!(Mean: input, axes, multiplier, right_shift, activation);
fields!(Binary: kind, a, b, a_shift, b_shift, right_shift, activation);
fields!(Clip: input, activation);
fields!(Rescale: input, right_shift, activation);
fields!(LeakyRelu<'a>: input, slopes, slope_bits, right_shift, activation);
fields!(Table<'a>: input, codes);
fields!(Softmax<'a>: input, exponentials);
fields!(Concat<'a>: inputs, right_shifts, axis, activation);
fields!(Slice: input, start);
fields!(Pad: input, before, value);
fields!(Reshape: input);
fields!(Transpose: input, order);
fields!(UpsampleNearest: input);
fields!(UpsampleBilinear: input, right_shift, activation);
fields!(Argmax: input);
fields!(AffineBinary: kind, input_a, input_b, a, b, output, activation);
fields!(State:);
fields!(Store: input, state);
fields!(Stream: input);
fields!(PatchInput: input, rows, columns, nodes);
fields!(PatchOutput: input);
