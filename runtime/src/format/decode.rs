//! Decodes nodes in place, of the operators alone that a program links.
//!
//! The bytes are postcard's, and postcard decodes the same values; reading them here takes half of the flash and of the
//! stack, since the fields are known to follow one another.

use super::links::with_operators;
use super::reader::Reader;
use super::weights::WeightBits;
use super::{
    Activation, AffineBinary, AffineBinaryKind, AffineMean, AffineOperand, AffineSoftmax, Argmax, AveragePool2d,
    Binary, BinaryKind, Clip, Concat, Conv2d, DepthwiseConv2d, Epilogue, FullyConnected, LeakyRelu, MaxPool2d, Mean,
    Multiply, Name, Node, Op, OperatorKind, Packing, Pad, PatchInput, PatchOutput, Rescale, Reshape, Scratch, Slice,
    Softmax, State, Store, Stream, Table, Transpose, TransposeConv2d, UpsampleBilinear, UpsampleNearest, Weights,
    Window,
};

/// Decodes one node into its place and leaves behind it in `bytes` what follows. False for an operator that is not in `LINKS`.
///
/// In its place, since moving a node costs more than decoding it.
#[inline(never)]
pub(crate) fn take_node<'a, const LINKS: u64>(bytes: &mut &'a [u8], node: &mut Node<'a>) -> bool {
    let mut reader = Reader::new(bytes);
    node.name = Name::from_bytes(reader.bytes());
    take_op::<LINKS>(&mut reader, &mut node.op);
    *bytes = reader.rest;
    !reader.failed
}

/// One arm for each operator: those that are not linked are constants to the compiler, and gone with all they call.
macro_rules! operators {
    ($($name:ident),*) => {
        #[inline]
        fn take_op<'a, const LINKS: u64>(reader: &mut Reader<'a>, op: &mut Op<'a>) {
            let index = reader.varint();
            $(if OperatorKind::$name.is_in(LINKS) && index == OperatorKind::$name as u32 {
                *op = Op::$name(Read::undecoded(reader.rest));
                if let Op::$name(fields) = op {
                    fields.read(reader);
                }
                return;
            })*
            reader.failed = true;
        }
    };
}

with_operators!(operators);

/// A value that is read over another.
trait Read<'a> {
    /// What is read over: `bytes` in the place of all bytes, since a constant would be copied as a whole. Always inlined, so that it
    /// is made where it is read.
    fn undecoded(bytes: &'a [u8]) -> Self;

    fn read(&mut self, reader: &mut Reader<'a>);
}

/// Values that are numbers, or bytes.
macro_rules! values {
    ($($name:ty: |$reader:ident| $value:expr;)*) => {
        $(impl<'a> Read<'a> for $name {
            #[inline(always)]
            fn undecoded(_: &'a [u8]) -> Self {
                0
            }

            #[inline]
            fn read(&mut self, $reader: &mut Reader<'a>) {
                *self = $value;
            }
        })*
    };
}

values!(
    u8: |reader| reader.byte();
    i8: |reader| reader.byte().cast_signed();
    u16: |reader| { let value = reader.varint(); reader.narrow(value) };
    i16: |reader| { let value = reader.zigzag(); reader.narrow(value) };
    u32: |reader| reader.varint();
    i32: |reader| reader.zigzag();
);

impl<'a> Read<'a> for &'a [u8] {
    #[inline(always)]
    fn undecoded(bytes: &'a [u8]) -> Self {
        bytes
    }

    #[inline]
    fn read(&mut self, reader: &mut Reader<'a>) {
        *self = reader.bytes();
    }
}

impl<'a, T: Read<'a>, const LEN: usize> Read<'a> for [T; LEN] {
    #[inline(always)]
    fn undecoded(bytes: &'a [u8]) -> Self {
        core::array::from_fn(|_| T::undecoded(bytes))
    }

    #[inline]
    fn read(&mut self, reader: &mut Reader<'a>) {
        for value in self {
            value.read(reader);
        }
    }
}

impl<'a> Read<'a> for Activation {
    #[inline(always)]
    fn undecoded(_: &'a [u8]) -> Self {
        Self::default()
    }

    /// Two numbers of fixed width.
    #[inline(never)]
    fn read(&mut self, reader: &mut Reader<'a>) {
        let [a, b, c, d] = reader.array();
        *self = Self { min: i16::from_le_bytes([a, b]), max: i16::from_le_bytes([c, d]) };
    }
}

impl<'a> Read<'a> for Window {
    #[inline(always)]
    fn undecoded(_: &'a [u8]) -> Self {
        Self::default()
    }

    #[inline(never)]
    fn read(&mut self, reader: &mut Reader<'a>) {
        let [kernel_h, kernel_w, stride_h, stride_w, dilation_h, dilation_w, pad_top, pad_bottom, pad_left, pad_right] =
            reader.array();
        *self = Self {
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
        };
    }
}

impl<'a> Read<'a> for Epilogue<'a> {
    #[inline(always)]
    fn undecoded(bytes: &'a [u8]) -> Self {
        Self::Shift(bytes)
    }

    #[inline]
    fn read(&mut self, reader: &mut Reader<'a>) {
        match reader.varint() {
            0 => *self = Self::Shift(reader.bytes()),
            1 => {
                let mut multiply = Multiply::undecoded(reader.rest);
                multiply.read(reader);
                *self = Self::Multiply(multiply);
            }
            _ => reader.failed = true,
        }
    }
}

/// Values that are told apart by a number alone.
macro_rules! choices {
    ($name:ident: $($choice:ident),*) => {
        impl<'a> Read<'a> for $name {
            #[inline(always)]
            fn undecoded(_: &'a [u8]) -> Self {
                Self::default()
            }

            #[inline]
            fn read(&mut self, reader: &mut Reader<'a>) {
                let index = reader.varint();
                $(if index == Self::$choice as u32 {
                    *self = Self::$choice;
                    return;
                })*
                reader.failed = true;
            }
        }
    };
}

/// Values whose fields follow one another.
macro_rules! fields {
    ($name:ty: $($field:ident),*) => {
        impl<'a> Read<'a> for $name {
            #[inline(always)]
            fn undecoded(bytes: &'a [u8]) -> Self {
                let _ = bytes;
                Self { $($field: Read::undecoded(bytes)),* }
            }

            #[inline]
            fn read(&mut self, reader: &mut Reader<'a>) {
                let _ = &reader;
                $(self.$field.read(reader);)*
            }
        }
    };
}

choices!(WeightBits: Two, Four, Eight, Sixteen);
choices!(Packing: Plain, Pairs, Blocks, Fours, Winograd);
choices!(BinaryKind: Add, Sub, Mul, Minimum, Maximum);
choices!(AffineBinaryKind: Add, Sub, Mul);

impl<'a> Read<'a> for Weights<'a> {
    #[inline(always)]
    fn undecoded(bytes: &'a [u8]) -> Self {
        Self {
            bits: WeightBits::default(),
            packing: Packing::default(),
            scratch: Scratch::default(),
            padding: bytes,
            codes: bytes,
            bias: bytes,
            epilogue: Epilogue::undecoded(bytes),
        }
    }

    #[inline(never)]
    fn read(&mut self, reader: &mut Reader<'a>) {
        self.bits.read(reader);
        self.packing.read(reader);
        self.scratch.read(reader);
        self.padding.read(reader);
        self.codes.read(reader);
        self.bias.read(reader);
        self.epilogue.read(reader);
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
fields!(AffineMean: input, axes, input_zero, output, activation);
fields!(AffineSoftmax<'a>: input, exponentials);
