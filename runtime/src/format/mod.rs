//! The model file: one postcard message, read in place. `spec/format.md` is normative.
//!
//! The types here are the message's meaning. [`crate::Model`] walks the bytes and hands these
//! types out one at a time; a host serializes the same types to write a file.

use serde::{Deserialize, Serialize};

use crate::patches::STAGE_BYTES;

mod blocks;
mod decode;
mod element;
mod kept;
mod links;
mod name;
mod operations;
mod operators;
mod packing;
mod reader;
mod tensor;
mod weights;
mod window;
mod winograd;

pub use blocks::{Blocks, Lanes, VECTOR, code_offset};
pub(crate) use decode::{keep_node, take_node};
pub use element::Element;
pub(crate) use kept::Kept;
pub(crate) use links::with_operators;
pub use links::{AFFINE_LINK, ALL_LINKS, Case, Detail, ENCODED_LINKS, Links, OPERATOR_COUNT, OperatorKind};
pub(crate) use links::{
    CONVOLUTIONS, KEEPING_OPERATORS, PATCH_OPERATORS, SLIDING_OPERATORS, decodes, has_odd_ends, has_slow_ends, missing,
    packs,
};
pub use name::Name;
pub use operators::{
    Activation, AffineBinary, AffineBinaryKind, AffineMean, AffineOperand, AffineSoftmax, Argmax, AveragePool2d,
    Binary, BinaryKind, Clip, Concat, Conv2d, DepthwiseConv2d, FullyConnected, LeakyRelu, MaxPool2d, Mean, Pad,
    PatchInput, PatchOutput, Rescale, Reshape, SOFTMAX_ENTRIES, Slice, Softmax, State, Store, Stream, Table, Transpose,
    TransposeConv2d, UpsampleBilinear, UpsampleNearest,
};
pub use packing::{Fours, Packing, Pairs, Quads, Runs, Scratch};
pub(crate) use reader::Reader;
pub use tensor::{Shape, TENSOR_RECORD_BYTES, TensorRecord};
pub use weights::{CODES_ALIGNMENT, Channel, Epilogue, Multiply, WeightBits, Weights};
pub use window::Window;
pub use winograd::{PLACES, Winograd};

/// First bytes of every model file.
pub const MAGIC: [u8; 4] = *b"STSH";

/// The format version that this crate reads and writes.
pub const FORMAT_VERSION: u16 = 5;

/// Length in bytes of an encoded [`Header`].
pub const HEADER_BYTES: usize = 10;

/// Leads the file; every field is of fixed width. Format 2.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
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

/// What a build must know before the model is parsed; every field is of fixed width. Format 2.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Needs {
    /// Bytes of arena that tensors and scratch take; a model with stages of patches needs [`Self::arena`].
    #[serde(with = "postcard::fixint::le")]
    pub arena_bytes: u32,
    /// The bits of every operator, element, width of weights and scheme in the file.
    #[serde(with = "postcard::fixint::le")]
    pub links: u64,
    /// Products, comparisons and moves of codes in one run, at most: what bounds its time.
    #[serde(with = "postcard::fixint::le")]
    pub operations: u64,
}

/// Length in bytes of an encoded [`Needs`].
pub const NEEDS_BYTES: usize = 20;

impl Header {
    pub(crate) const fn read(reader: &mut Reader<'_>) -> Self {
        let magic = reader.array();
        let version = u16::from_le_bytes(reader.array());
        Self { magic, version, crc: u32::from_le_bytes(reader.array()) }
    }
}

impl Needs {
    /// Bytes of arena that a run needs: behind tensors and scratch, models with stages keep [`STAGE_BYTES`].
    #[must_use]
    pub const fn arena(&self) -> usize {
        let stages = if self.links as Links & PATCH_OPERATORS == 0 { 0 } else { STAGE_BYTES };
        self.arena_bytes as usize + stages
    }

    pub(crate) const fn read(reader: &mut Reader<'_>) -> Self {
        Self {
            arena_bytes: u32::from_le_bytes(reader.array()),
            links: u64::from_le_bytes(reader.array()),
            operations: u64::from_le_bytes(reader.array()),
        }
    }
}

/// The whole message, for writing one: header, arena size, tensors, nodes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct ModelFile<'a> {
    /// Magic number, version, checksum.
    pub header: Header,
    /// Arena, and what a program must link.
    pub needs: Needs,
    /// Input first, then the output of each node.
    pub tensors: &'a [TensorRecord],
    /// In the order of execution.
    pub nodes: &'a [Node<'a>],
    /// What one input must give, for a self-test.
    pub certificate: Option<Certificate<'a>>,
}

/// One input with a digest of what every step writes, for a self-test on the device. Format 5.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Certificate<'a> {
    /// `[H, W, C]`: codes of the input, as they lie in the arena.
    pub input: &'a [u8],
    /// `[step]` u32 in little-endian bytes: [`digest`](crate::digest) of what each step writes, a node or a node of a patch.
    pub digests: &'a [u8],
}

impl<'a> Certificate<'a> {
    /// Reads one that may be there.
    pub(crate) fn read(reader: &mut Reader<'a>) -> Option<Self> {
        match reader.u8() {
            0 => None,
            1 => Some(Self { input: reader.bytes(), digests: reader.bytes() }),
            _ => reader.fail(None),
        }
    }

    /// Digest of what `step` writes.
    #[must_use]
    pub fn digest(&self, step: usize) -> Option<u32> {
        let (digests, _) = self.digests.as_chunks::<4>();
        digests.get(step).map(|bytes| u32::from_le_bytes(*bytes))
    }
}

/// One operator with the name of its layer. Format 4.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Node<'a> {
    /// The layer's name in the trainer, UTF-8.
    #[serde(borrow)]
    pub name: Name<'a>,
    /// What the node computes.
    #[serde(borrow)]
    pub op: Op<'a>,
}

impl<'a> Node<'a> {
    /// What the node that begins `bytes` is decoded over. With a name that is not known while compiling, since a constant would be
    /// copied as a whole, unused bytes too.
    #[inline]
    pub(crate) const fn undecoded(bytes: &'a [u8]) -> Self {
        Self { name: Name::from_bytes(bytes), op: Op::State(State {}) }
    }
}

/// The operators. The order of the variants is part of the format.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Op<'a> {
    /// 2-D convolution; a pointwise one has a 1x1 kernel, a 1-D one a kernel of one row.
    #[serde(borrow)]
    Conv2d(Conv2d<'a>),
    /// Depthwise 2-D convolution; each input channel feeds `C_OUT / C_IN` output channels.
    #[serde(borrow)]
    DepthwiseConv2d(DepthwiseConv2d<'a>),
    /// Transposed 2-D convolution.
    #[serde(borrow)]
    TransposeConv2d(TransposeConv2d<'a>),
    /// Fully connected layer over the flattened input.
    #[serde(borrow)]
    FullyConnected(FullyConnected<'a>),
    /// Maximum over a window.
    MaxPool2d(MaxPool2d),
    /// Mean over the part of a window that is inside the input.
    #[serde(borrow)]
    AveragePool2d(AveragePool2d<'a>),
    /// Mean over whole axes: rows and columns for a global pool.
    Mean(Mean),
    /// Add, subtract, multiply, minimum or maximum of two tensors of one shape.
    Binary(Binary),
    /// Saturate into a narrower range, ReLU for one.
    Clip(Clip),
    /// From one exponent to another.
    Rescale(Rescale),
    /// Negative codes times a slope: leaky ReLU, PReLU.
    #[serde(borrow)]
    LeakyRelu(LeakyRelu<'a>),
    /// A curve by table: sigmoid, tanh, hard-swish, GELU.
    #[serde(borrow)]
    Table(Table<'a>),
    /// Softmax over the channels, by table.
    #[serde(borrow)]
    Softmax(Softmax<'a>),
    /// Tensors side by side along one axis.
    #[serde(borrow)]
    Concat(Concat<'a>),
    /// A part of a tensor.
    Slice(Slice),
    /// A tensor in a frame of one code.
    Pad(Pad),
    /// The same codes in another shape.
    Reshape(Reshape),
    /// Axes in another order.
    Transpose(Transpose),
    /// Twice the rows and columns, each code four times.
    UpsampleNearest(UpsampleNearest),
    /// Twice the rows and columns, between the pixels' centres.
    UpsampleBilinear(UpsampleBilinear),
    /// Index of the greatest channel.
    Argmax(Argmax),
    /// Add, subtract or multiply in the affine scheme.
    AffineBinary(AffineBinary),
    /// What the run before stored.
    State(State),
    /// Keeps a tensor for the next run.
    Store(Store),
    /// The newest rows of a signal behind those before.
    Stream(Stream),
    /// Begins a stage that runs patch by patch.
    PatchInput(PatchInput),
    /// Ends it.
    PatchOutput(PatchOutput),
    /// Mean over whole axes in the affine scheme.
    AffineMean(AffineMean),
    /// Softmax over the channels in the affine scheme, by table.
    #[serde(borrow)]
    AffineSoftmax(AffineSoftmax<'a>),
}

macro_rules! kinds {
    ($($name:ident),*) => {
        impl Op<'_> {
            /// Which operator it is.
            #[must_use]
            pub const fn kind(&self) -> OperatorKind {
                match self {
                    $(Self::$name(_) => OperatorKind::$name),*
                }
            }
        }
    };
}

links::with_operators!(kinds);

impl Op<'_> {
    /// The constants of a layer that accumulates products.
    #[must_use]
    pub const fn weights(&self) -> Option<&Weights<'_>> {
        match self {
            Self::Conv2d(op) => Some(&op.weights),
            Self::DepthwiseConv2d(op) => Some(&op.weights),
            Self::TransposeConv2d(op) => Some(&op.weights),
            Self::FullyConnected(op) => Some(&op.weights),
            _ => None,
        }
    }

    /// The tensor that a window slides down, and the window; `None` for operators without one, and for a transposed convolution.
    pub(crate) const fn sliding(&self) -> Option<(u16, &Window)> {
        match self {
            Self::Conv2d(op) => Some((op.input, &op.window)),
            Self::DepthwiseConv2d(op) => Some((op.input, &op.window)),
            Self::MaxPool2d(op) => Some((op.input, &op.window)),
            Self::AveragePool2d(op) => Some((op.input, &op.window)),
            _ => None,
        }
    }

    /// What this node uses of the arena, apart from its tensors.
    #[must_use]
    pub fn scratch(&self) -> Scratch {
        self.weights().map_or(Scratch::default(), |weights| weights.scratch)
    }

    /// The width of weights that a kernel must have been built for: none for an order that has one. Of depthwise convolutions
    /// for `SMLAD`, which have one too, those with scratch need it: they run by strips.
    const fn width_bit(&self, weights: &Weights<'_>) -> Links {
        match (self, weights.packing) {
            (Self::DepthwiseConv2d(_), packing) if packing.is_paired() && weights.scratch.bytes == 0 => 0,
            (_, Packing::Winograd) => 0,
            _ => weights.bits.bit(),
        }
    }

    /// What a program must link for this node, its tensors' elements apart.
    ///
    /// tensor  the record of an input
    /// output  the record of what the node writes
    #[must_use]
    pub fn links(&self, tensor: impl Fn(u16) -> TensorRecord, output: &TensorRecord) -> u64 {
        self.links_but_cases() | crate::kernels::cases(self, tensor, output) as u64
    }

    /// As [`Self::links`] without [`Case`]s, of which a program that links all of them need not know.
    pub(crate) fn links_but_cases(&self) -> u64 {
        let weights = self.weights();
        let width = weights.map_or(0, |weights| weights.packing.bit() | self.width_bit(weights));
        let divides = matches!(self, Self::AveragePool2d(op) if op.multipliers.is_empty());
        let affine = divides || weights.is_some_and(|weights| matches!(weights.epilogue, Epilogue::Multiply(_)));
        (self.kind().bit() | width | if affine { AFFINE_LINK } else { 0 }) as u64
    }
}
