//! Sets of what a file needs of the program that runs it: operators, elements, widths of weights, schemes.

use super::{Element, Packing, WeightBits};

/// Which operator a node is; the numbers are those of [`Op`](super::Op) in a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[expect(missing_docs, reason = "the names are Op's")]
#[repr(u8)]
#[non_exhaustive]
pub enum OperatorKind {
    Conv2d,
    DepthwiseConv2d,
    TransposeConv2d,
    FullyConnected,
    MaxPool2d,
    AveragePool2d,
    Mean,
    Binary,
    Clip,
    Rescale,
    LeakyRelu,
    Table,
    Softmax,
    Concat,
    Slice,
    Pad,
    Reshape,
    Transpose,
    UpsampleNearest,
    UpsampleBilinear,
    Argmax,
    AffineBinary,
    State,
    Store,
    Stream,
    PatchInput,
    PatchOutput,
    AffineMean,
    AffineSoftmax,
}

/// Number of operators.
pub const OPERATOR_COUNT: u32 = OperatorKind::AffineSoftmax as u32 + 1;

/// A set of what a program links. The lower half is what a file tells of itself; a [`Detail`] is in the upper one.
pub type Links = u128;

/// First bit of those of details.
const FIRST_DETAIL_BIT: u32 = 64;

/// First bit behind that of the decoder.
const FIRST_CASE_BIT: u32 = 42;

/// First bit behind those of cases.
const FIRST_ELEMENT_BIT: u32 = 48;

/// First bit behind those of elements.
const FIRST_WIDTH_BIT: u32 = 52;

/// First bit behind those of widths.
const FIRST_PACKING_BIT: u32 = 56;

/// The bit of the affine scheme: layers that end in a multiplier. Spec 3.4.
pub const AFFINE_LINK: Links = 1 << 63;

/// The bit of what decodes nodes from a file's bytes.
const DECODER_LINK: Links = 1 << 41;

/// What a program needs of which no file tells, unless its model's nodes were decoded while it was compiled: what decodes them, and
/// every [`Detail`].
pub const ENCODED_LINKS: Links = DECODER_LINK | DETAIL_LINKS;

/// What a file needs that a program does not link.
pub(crate) const fn missing(needed: u64, linked: Links) -> u64 {
    (needed | DECODER_LINK as u64) & !(linked as u64 | RETIRED_CASE)
}

/// Whether a program has layers whose end no inner loop has.
#[inline]
pub(crate) const fn has_slow_ends(links: Links) -> bool {
    Case::End.is_in(links) && Detail::SlowEnd.is_in(links)
}

/// Whether a program has layers of an odd number of channels whose end the inner loops have.
#[inline]
pub(crate) const fn has_odd_ends(links: Links) -> bool {
    Case::End.is_in(links) && Detail::OddEnd.is_in(links)
}

/// Whether a program decodes nodes.
#[inline]
pub(crate) const fn decodes(links: Links) -> bool {
    links & DECODER_LINK != 0
}

/// Whether a program has kernels for weights that the exporter packed.
#[inline]
pub(crate) const fn packs(links: Links) -> bool {
    links & PACKING_LINKS & !Packing::Plain.bit() != 0
}

/// The operators whose tensors keep their contents between runs.
pub(crate) const KEEPING_OPERATORS: Links = OperatorKind::State.bit() | OperatorKind::Stream.bit();

/// The operators whose window slides down a tensor.
pub(crate) const SLIDING_OPERATORS: Links = OperatorKind::Conv2d.bit()
    | OperatorKind::DepthwiseConv2d.bit()
    | OperatorKind::MaxPool2d.bit()
    | OperatorKind::AveragePool2d.bit();

/// The operators that take most of a network's products where it has them.
pub(crate) const CONVOLUTIONS: Links =
    OperatorKind::Conv2d.bit() | OperatorKind::DepthwiseConv2d.bit() | OperatorKind::TransposeConv2d.bit();

/// The operators of stages that run patch by patch.
pub(crate) const PATCH_OPERATORS: Links = OperatorKind::PatchInput.bit() | OperatorKind::PatchOutput.bit();

/// Every operator, case, element, width, packing and scheme, and the decoder.
pub const ALL_LINKS: Links = ((1 << OPERATOR_COUNT) - 1)
    | ENCODED_LINKS
    | CASE_LINKS
    | (7 << FIRST_ELEMENT_BIT)
    | (15 << FIRST_WIDTH_BIT)
    | PACKING_LINKS
    | AFFINE_LINK;

/// Every detail.
const DETAIL_LINKS: Links = ((1 << Detail::ALL.len()) - 1) << FIRST_DETAIL_BIT;

/// Every case.
const CASE_LINKS: Links = {
    let (mut links, mut index) = (0, 0);
    while index < Case::ALL.len() {
        links |= Case::ALL[index].bit();
        index += 1;
    }
    links
};

/// The bit of a case that earlier files tell of, and that needs nothing.
const RETIRED_CASE: u64 = 1 << (FIRST_CASE_BIT + 4);

/// Every packing.
const PACKING_LINKS: Links = ((1 << Packing::ALL.len()) - 1) << FIRST_PACKING_BIT;

/// Hands every operator's name to a macro, in the order of their numbers.
macro_rules! with_operators {
    ($macro:ident) => {
        $macro!(
            Conv2d,
            DepthwiseConv2d,
            TransposeConv2d,
            FullyConnected,
            MaxPool2d,
            AveragePool2d,
            Mean,
            Binary,
            Clip,
            Rescale,
            LeakyRelu,
            Table,
            Softmax,
            Concat,
            Slice,
            Pad,
            Reshape,
            Transpose,
            UpsampleNearest,
            UpsampleBilinear,
            Argmax,
            AffineBinary,
            State,
            Store,
            Stream,
            PatchInput,
            PatchOutput,
            AffineMean,
            AffineSoftmax
        );
    };
}

pub(crate) use with_operators;

macro_rules! all_operators {
    ($($name:ident),*) => {
        impl OperatorKind {
            /// Every operator, in the order of its number.
            pub const ALL: [Self; OPERATOR_COUNT as usize] = [$(Self::$name),*];
        }
    };
}

with_operators!(all_operators);

/// The list is in the order of the numbers.
const _: () = {
    let mut number = 0;
    while number < OperatorKind::ALL.len() {
        assert!(OperatorKind::ALL[number] as usize == number);
        number += 1;
    }
};

/// What fast kernels leave to slower ones. Format 1.1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[repr(u8)]
#[non_exhaustive]
pub enum Case {
    /// Layers in tiles, whose accumulators are shifted to the left, saturate to other bounds than those of 8 bits or a ReLU, or
    /// have an odd number of channels.
    End,
    /// Sums, means and pools of other elements, extents or bounds than the fast ones have.
    Operator,
    /// A file at an address that is no multiple of 4. No file tells of it: it is the program's.
    Place,
    /// Convolutions in tiles whose output has a number of columns that is no multiple of 4.
    Remainder,
    /// Convolutions in tiles, whose columns are dilated. Number 4 is that of a retired case.
    Dilation = 5,
}

impl Case {
    /// Every case, in the order of its number.
    pub const ALL: [Self; 5] = [Self::End, Self::Operator, Self::Place, Self::Remainder, Self::Dilation];

    /// Whether every case is in a set.
    pub(crate) const fn all_in(links: Links) -> bool {
        links & CASE_LINKS == CASE_LINKS
    }
}

/// What kernels need beyond what a file tells. Of the nodes that are decoded while a program is compiled it is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[repr(u8)]
#[non_exhaustive]
pub enum Detail {
    /// Saturation to all of an `i8`.
    Signed8,
    /// Saturation to 0 to 127.
    Unsigned7,
    /// Saturation to all of a `u8`.
    Unsigned8,
    /// Layers that end in a shift.
    Shift,
    /// Weights of 16 bits of convolutions in tiles.
    WideTiles,
    /// Windows whose output lies over their input.
    Overlap,
    /// Layers with a scratch.
    Scratch,
    /// Windows that are dilated.
    Dilation,
    /// Convolutions in groups.
    Groups,
    /// Convolutions whose padding has a code other than 0.
    Padding,
    /// Depthwise convolutions whose padding has a code other than 0.
    DepthwisePadding,
    /// Means over windows of four codes.
    Quarter,
    /// Means over windows by a reciprocal.
    Reciprocal,
    /// Windows that reach over an edge of their input.
    Edge,
    /// Layers that end in a multiplier and, in some channel, not in a shift to the right.
    LeftShift,
    /// Softmaxes of the affine scheme that compute their exponentials.
    Exponentials,
    /// Weights of 16 bits of fully connected layers.
    WideColumn,
    /// Depthwise convolutions for `SMLAD` that do not run by strips.
    DepthwisePixels,
    /// Layers in tiles whose end no inner loop has, and all depthwise convolutions that do not run by strips: [`Case::End`], of
    /// which a file tells for those that do as well.
    SlowEnd,
    /// Layers in tiles with an odd number of channels, whose end the inner loops have: [`Case::End`], too.
    OddEnd,
    /// Fully connected layers for `SMLAD` whose inputs are widened to a column.
    Column,
    /// Those that have none.
    NoColumn,
    /// Depthwise convolutions for `SMLAD` whose channels are no multiple of 4.
    LastQuad,
}

impl Detail {
    /// Every detail, in the order of its number.
    pub const ALL: [Self; 23] = [
        Self::Signed8,
        Self::Unsigned7,
        Self::Unsigned8,
        Self::Shift,
        Self::WideTiles,
        Self::Overlap,
        Self::Scratch,
        Self::Dilation,
        Self::Groups,
        Self::Padding,
        Self::DepthwisePadding,
        Self::Quarter,
        Self::Reciprocal,
        Self::Edge,
        Self::LeftShift,
        Self::Exponentials,
        Self::WideColumn,
        Self::DepthwisePixels,
        Self::SlowEnd,
        Self::OddEnd,
        Self::Column,
        Self::NoColumn,
        Self::LastQuad,
    ];
}

/// What has a bit of its own in a set, those of its kind from `$first` on.
macro_rules! in_sets {
    ($($name:ident: $what:literal from $first:expr;)*) => {
        $(impl $name {
            #[doc = concat!("The bit of this ", $what, " in a set.")]
            #[must_use]
            pub const fn bit(self) -> Links {
                1 << ($first + self as u32)
            }

            #[doc = concat!("Whether this ", $what, " is in a set.")]
            #[inline]
            #[must_use]
            pub const fn is_in(self, links: Links) -> bool {
                links & self.bit() != 0
            }
        })*
    };
}

in_sets!(
    OperatorKind: "operator" from 0;
    Detail: "detail" from FIRST_DETAIL_BIT;
    Case: "case" from FIRST_CASE_BIT;
    Element: "element" from FIRST_ELEMENT_BIT;
    WeightBits: "width" from FIRST_WIDTH_BIT;
    Packing: "packing" from FIRST_PACKING_BIT;
);

#[cfg(test)]
mod tests {
    use super::{ALL_LINKS, Case, ENCODED_LINKS, Links, OperatorKind, RETIRED_CASE, missing};

    #[test]
    fn a_retired_case_needs_nothing() {
        let needed = OperatorKind::Conv2d.bit() | Case::Dilation.bit();
        assert_eq!(missing(needed as u64 | RETIRED_CASE, needed | ENCODED_LINKS), 0);
        assert_eq!(missing(needed as u64, OperatorKind::Conv2d.bit() | ENCODED_LINKS), Case::Dilation.bit() as u64);
        assert!(Case::all_in(ALL_LINKS) && !Case::all_in(ALL_LINKS & !Case::Dilation.bit()));
        assert_eq!(Links::from(RETIRED_CASE) & ALL_LINKS, 0);
    }
}
