//! Sets of operators: what a file uses, and what firmware links.

/// Which operator a node is; the numbers are those of [`Op`](super::Op) in a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[expect(missing_docs, reason = "the names are Op's")]
#[repr(u8)]
pub enum OperatorKind {
    Conv2d,
    DepthwiseConv2d,
    TransposeConv2d,
    FullyConnected,
    MaxPool2d,
    AveragePool2d,
    GlobalAveragePool,
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
}

/// Every operator.
pub const ALL_OPERATORS: u32 = (OperatorKind::UpsampleBilinear.bit() << 1) - 1;

impl OperatorKind {
    /// The bit of this operator in a set.
    #[must_use]
    pub const fn bit(self) -> u32 {
        1 << (self as u8)
    }

    /// Whether this operator is in a set.
    #[inline]
    #[must_use]
    pub const fn is_in(self, operators: u32) -> bool {
        operators & self.bit() != 0
    }
}
