//! Operators on each code by itself.

use super::node::NodeCheck;
use crate::error::{LoadError, NodeFault};
use crate::format::{
    Binary, BinaryKind, Clip, LeakyRelu, Rescale, SOFTMAX_ENTRIES, Softmax, TABLE_ENTRIES, Table, TensorRecord,
};

/// Greatest alignment shift of an operand: two operands and the rounding constant stay in an i32. Spec 4.6.
const MAX_ALIGN_SHIFT: u8 = 22;

/// Greatest number of fraction bits of a slope. Spec 4.10.
const MAX_SLOPE_BITS: u8 = 15;

/// Greatest entry of a softmax table: that of distance 0. Spec 4.12.
const SOFTMAX_ONE: u16 = 1 << 15;

/// Exponent of a softmax's output. Spec 4.12.
const SOFTMAX_EXPONENT: i8 = -7;

impl<const OPERATORS: u32> NodeCheck<'_, OPERATORS> {
    pub(super) fn binary(&self, op: &Binary) -> Result<(), LoadError> {
        let (a, b) = (self.input(op.a)?, self.input(op.b)?);
        self.shaped(Some(a.shape))?;
        self.shaped(Some(b.shape))?;
        let (e_a, e_b) = (i16::from(a.exponent), i16::from(b.exponent));
        let accumulator = if op.kind == BinaryKind::Mul {
            self.require((op.a_shift, op.b_shift) == (0, 0), NodeFault::Shift)?;
            e_a + e_b
        } else {
            self.require(op.a_shift <= MAX_ALIGN_SHIFT && op.b_shift <= MAX_ALIGN_SHIFT, NodeFault::Shift)?;
            let common = e_a - i16::from(op.a_shift);
            self.require(common == e_b - i16::from(op.b_shift), NodeFault::Exponent)?;
            common
        };
        self.shifted(accumulator, op.right_shift)?;
        self.activation(op.activation)
    }

    pub(super) fn clip(&self, op: &Clip) -> Result<(), LoadError> {
        let input = self.code_by_code(op.input)?;
        self.same_exponent(&input)?;
        self.activation(op.activation)
    }

    pub(super) fn rescale(&self, op: &Rescale) -> Result<(), LoadError> {
        let input = self.code_by_code(op.input)?;
        self.shifted(input.exponent.into(), op.right_shift)?;
        self.activation(op.activation)
    }

    pub(super) fn leaky_relu(&self, op: &LeakyRelu<'_>) -> Result<(), LoadError> {
        let input = self.code_by_code(op.input)?;
        let (one, each) = (2, 2 * usize::from(input.shape.c));
        self.require(op.slopes.len() == one || op.slopes.len() == each, NodeFault::BlobLength)?;
        self.require(op.slope_bits <= MAX_SLOPE_BITS, NodeFault::Shift)?;
        self.shifted(i16::from(input.exponent) - i16::from(op.slope_bits), op.right_shift)?;
        self.activation(op.activation)
    }

    pub(super) fn table(&self, op: &Table<'_>) -> Result<(), LoadError> {
        self.code_by_code(op.input)?;
        self.require(op.codes.len() == TABLE_ENTRIES, NodeFault::BlobLength)
    }

    pub(super) fn softmax(&self, op: &Softmax<'_>) -> Result<(), LoadError> {
        self.code_by_code(op.input)?;
        self.require(op.exponentials.len() == 2 * SOFTMAX_ENTRIES, NodeFault::BlobLength)?;
        let (entries, _) = op.exponentials.as_chunks::<2>();
        let legal = entries.iter().all(|bytes| u16::from_le_bytes(*bytes) <= SOFTMAX_ONE)
            && entries.first().is_some_and(|bytes| u16::from_le_bytes(*bytes) == SOFTMAX_ONE);
        self.require(legal, NodeFault::Table)?;
        self.require(self.output.exponent == SOFTMAX_EXPONENT, NodeFault::Exponent)
    }

    /// The record of an input of the output's shape.
    fn code_by_code(&self, tensor: u16) -> Result<TensorRecord, LoadError> {
        let input = self.input(tensor)?;
        self.shaped(Some(input.shape))?;
        Ok(input)
    }
}
