//! Decodes nodes in place, of the operators alone that a program links.
//!
//! The bytes are postcard's, and postcard decodes the same values; reading them here takes half of the flash and of the
//! stack, since the fields are known to follow one another.

use super::kept::Kept;
use super::links::{Links, with_operators};
use super::reader::Reader;
use super::weights::WeightBits;
use super::{
    Activation, AffineBinary, AffineBinaryKind, AffineMean, AffineOperand, AffineSoftmax, Argmax, AveragePool2d,
    Binary, BinaryKind, CODES_ALIGNMENT, Clip, Concat, Conv2d, DepthwiseConv2d, Epilogue, FullyConnected, LeakyRelu,
    MaxPool2d, Mean, Multiply, Name, Node, Op, OperatorKind, Packing, Pad, PatchInput, PatchOutput, Rescale, Reshape,
    Scratch, Slice, Softmax, State, Store, Stream, Table, Transpose, TransposeConv2d, UpsampleBilinear,
    UpsampleNearest, Weights, Window,
};

/// Decodes one node into its place and leaves behind it in `bytes` what follows. False for an operator that is not in `LINKS`.
///
/// In its place, since moving a node costs more than decoding it. While a program is compiled, too.
#[inline(never)]
pub(crate) const fn take_node<'a, const LINKS: Links>(bytes: &mut &'a [u8], node: &mut Node<'a>) -> bool {
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
        const fn take_op<'a, const LINKS: Links>(reader: &mut Reader<'a>, op: &mut Op<'a>) {
            let index = reader.u32();
            $(if OperatorKind::$name.is_in(LINKS) && index == OperatorKind::$name as u32 {
                *op = Op::$name($name::undecoded(reader.rest));
                if let Op::$name(fields) = op {
                    fields.read(reader);
                }
                return;
            })*
            reader.failed = true;
        }

        /// Has a node refer to bytes that are kept, one slice behind the other.
        pub(crate) const fn keep_node<'a>(node: &mut Node<'a>, names: &mut Kept<'a, '_>, kept: &mut Kept<'a, '_>) {
            node.name = Name::from_bytes(names.bytes(node.name.as_bytes()));
            match &mut node.op {
                $(Op::$name(fields) => fields.keep(kept),)*
            }
        }
    };
}

with_operators!(operators);

/// What a field is read over: `$bytes` in the place of all bytes, since a constant would be copied as a whole.
macro_rules! undecoded {
    (bytes, $bytes:ident) => {
        $bytes
    };
    ([$number:ident; $len:literal], $bytes:ident) => {
        [0; $len]
    };
    ({ $name:ident }, $bytes:ident) => {
        $name::undecoded($bytes)
    };
    ($number:ident, $bytes:ident) => {
        0
    };
}

/// Reads a field into its place.
macro_rules! read {
    ([$kind:ident; $len:literal], $place:expr, $reader:ident) => {
        let mut index = 0;
        while index < $len {
            $place[index] = $reader.$kind();
            index += 1;
        }
    };
    ({ $name:ident }, $place:expr, $reader:ident) => {
        $place.read($reader);
    };
    ($kind:ident, $place:expr, $reader:ident) => {
        $place = $reader.$kind();
    };
}

/// Has a field refer to bytes that are kept.
macro_rules! keep {
    (bytes, $place:expr, $kept:ident) => {
        $place = $kept.bytes($place);
    };
    ({ $name:ident }, $place:expr, $kept:ident) => {
        $place.keep($kept);
    };
    ($number:tt, $place:expr, $kept:ident) => {};
}

/// Values that refer to no bytes.
macro_rules! keep_nothing {
    ($($name:ident),*) => {
        $(impl $name {
            const fn keep(&mut self, _: &mut Kept<'_, '_>) {}
        })*
    };
}

keep_nothing!(BinaryKind, AffineBinaryKind, Activation, Window);

/// Values that are told apart by a number alone.
macro_rules! choices {
    ($name:ident: $first:ident, $($choice:ident),*) => {
        impl $name {
            #[inline(always)]
            const fn undecoded(_: &[u8]) -> Self {
                Self::$first
            }

            #[inline]
            const fn read(&mut self, reader: &mut Reader<'_>) {
                *self = match reader.u32() {
                    0 => Self::$first,
                    $(index if index == Self::$choice as u32 => Self::$choice,)*
                    _ => reader.fail(Self::$first),
                };
            }
        }
    };
}

/// Values whose fields follow one another: numbers and `bytes` by [`Reader`]'s names for them, other values in braces.
///
/// `undecoded` is always inlined, so that a value is made where it is read.
macro_rules! fields {
    ($name:ty: $($field:ident: $kind:tt),*) => {
        impl<'a> $name {
            #[inline(always)]
            const fn undecoded(bytes: &'a [u8]) -> Self {
                let _ = bytes;
                Self { $($field: undecoded!($kind, bytes)),* }
            }

            #[inline]
            const fn read(&mut self, reader: &mut Reader<'a>) {
                let _ = &reader;
                $(read!($kind, self.$field, reader);)*
            }

            const fn keep(&mut self, kept: &mut Kept<'a, '_>) {
                let _ = &kept;
                $(keep!($kind, self.$field, kept);)*
            }
        }
    };
}

choices!(WeightBits: Two, Four, Eight, Sixteen);
choices!(Packing: Plain, Pairs, Blocks, Fours, Winograd, Joined);
choices!(BinaryKind: Add, Sub, Mul, Minimum, Maximum);
choices!(AffineBinaryKind: Add, Sub, Mul);

impl Activation {
    #[inline(always)]
    const fn undecoded(_: &[u8]) -> Self {
        Self { min: 0, max: 0 }
    }

    /// Two numbers of fixed width.
    #[inline(never)]
    const fn read(&mut self, reader: &mut Reader<'_>) {
        let [a, b, c, d] = reader.array();
        *self = Self { min: i16::from_le_bytes([a, b]), max: i16::from_le_bytes([c, d]) };
    }
}

impl Window {
    #[inline(always)]
    const fn undecoded(_: &[u8]) -> Self {
        Self::new(0, 0)
    }

    #[inline(never)]
    const fn read(&mut self, reader: &mut Reader<'_>) {
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

impl<'a> Epilogue<'a> {
    #[inline(always)]
    const fn undecoded(bytes: &'a [u8]) -> Self {
        Self::Shift(bytes)
    }

    #[inline]
    const fn read(&mut self, reader: &mut Reader<'a>) {
        match reader.u32() {
            0 => *self = Self::Shift(reader.bytes()),
            1 => {
                let mut multiply = Multiply::undecoded(reader.rest);
                multiply.read(reader);
                *self = Self::Multiply(multiply);
            }
            _ => reader.failed = true,
        }
    }

    const fn keep(&mut self, kept: &mut Kept<'a, '_>) {
        match self {
            Self::Shift(shifts) => *shifts = kept.bytes(shifts),
            Self::Multiply(multiply) => multiply.keep(kept),
        }
    }
}

impl<'a> Weights<'a> {
    #[inline(always)]
    const fn undecoded(bytes: &'a [u8]) -> Self {
        Self {
            bits: WeightBits::undecoded(bytes),
            packing: Packing::undecoded(bytes),
            scratch: Scratch::undecoded(bytes),
            padding: 0,
            codes: bytes,
            bias: bytes,
            epilogue: Epilogue::undecoded(bytes),
        }
    }

    #[inline(never)]
    const fn read(&mut self, reader: &mut Reader<'a>) {
        self.bits.read(reader);
        self.packing.read(reader);
        self.scratch.read(reader);
        let padding = reader.bytes().len();
        self.padding = if padding < CODES_ALIGNMENT { padding as u8 } else { reader.fail(0) };
        self.codes = reader.bytes();
        self.bias = reader.bytes();
        self.epilogue.read(reader);
    }

    const fn keep(&mut self, kept: &mut Kept<'a, '_>) {
        self.scratch.keep(kept);
        self.padding = 0;
        kept.align();
        self.codes = kept.bytes(self.codes);
        self.bias = kept.bytes(self.bias);
        self.epilogue.keep(kept);
    }
}

fields!(Scratch: offset: u32, bytes: u32);
fields!(Multiply<'a>: multipliers: bytes, shifts: bytes, output_zero: i16, input_zero: i16);
fields!(AffineOperand: zero: i16, multiplier: i32, shift: i8);
fields!(Conv2d<'a>: input: u16, window: {Window}, groups: u16, weights: {Weights}, activation: {Activation});
fields!(DepthwiseConv2d<'a>: input: u16, window: {Window}, weights: {Weights}, activation: {Activation});
fields!(TransposeConv2d<'a>: input: u16, window: {Window}, weights: {Weights}, activation: {Activation});
fields!(FullyConnected<'a>: input: u16, weights: {Weights}, activation: {Activation});
fields!(MaxPool2d: input: u16, window: {Window}, activation: {Activation});
fields!(
    AveragePool2d<'a>: input: u16, window: {Window}, multipliers: bytes, right_shift: i8, activation: {Activation}
);
fields!(Mean: input: u16, axes: u8, multiplier: i32, right_shift: i8, activation: {Activation});
fields!(
    Binary: kind: {BinaryKind}, a: u16, b: u16, a_shift: u8, b_shift: u8, right_shift: i8, activation: {Activation}
);
fields!(Clip: input: u16, activation: {Activation});
fields!(Rescale: input: u16, right_shift: i8, activation: {Activation});
fields!(LeakyRelu<'a>: input: u16, slopes: bytes, slope_bits: u8, right_shift: i8, activation: {Activation});
fields!(Table<'a>: input: u16, codes: bytes);
fields!(Softmax<'a>: input: u16, exponentials: bytes);
fields!(Concat<'a>: inputs: bytes, right_shifts: bytes, axis: u8, activation: {Activation});
fields!(Slice: input: u16, start: [u16; 3]);
fields!(Pad: input: u16, before: [u16; 3], value: i16);
fields!(Reshape: input: u16);
fields!(Transpose: input: u16, order: [u8; 3]);
fields!(UpsampleNearest: input: u16);
fields!(UpsampleBilinear: input: u16, right_shift: i8, activation: {Activation});
fields!(Argmax: input: u16);
fields!(
    AffineBinary: kind: {AffineBinaryKind}, input_a: u16, input_b: u16, a: {AffineOperand}, b: {AffineOperand},
    output: {AffineOperand}, activation: {Activation}
);
fields!(State:);
fields!(Store: input: u16, state: u16);
fields!(Stream: input: u16);
fields!(PatchInput: input: u16, rows: u16, columns: u16, nodes: u16);
fields!(PatchOutput: input: u16);
fields!(AffineMean: input: u16, axes: u8, input_zero: i16, output: {AffineOperand}, activation: {Activation});
fields!(AffineSoftmax<'a>: input: u16, exponentials: bytes);
