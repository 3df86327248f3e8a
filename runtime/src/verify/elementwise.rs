//! Operators on each code by itself.

use super::node::NodeCheck;
use crate::arithmetic::rounding;
use crate::error::{LoadError, NodeFault};
use crate::format::{
    AffineBinary, AffineBinaryKind, AffineOperand, AffineSoftmax, Argmax, Binary, BinaryKind, Clip, Element, LeakyRelu,
    Links, Rescale, SOFTMAX_ENTRIES, Shape, Softmax, Table, TensorRecord,
};

/// Greatest alignment shift of an operand: two operands and the rounding constant stay in an i32. Spec 4.6.
const MAX_ALIGN_SHIFT: u8 = 22;

/// Greatest number of fraction bits of a slope. Spec 4.10.
const MAX_SLOPE_BITS: u8 = 15;

/// Greatest entry of a softmax table: that of distance 0. Spec 4.12.
const SOFTMAX_ONE: u16 = 1 << 15;

impl<const LINKS: Links> NodeCheck<'_, LINKS> {
    pub(super) fn binary(&self, op: &Binary) -> Result<(), LoadError> {
        let (a, b) = (self.code_by_code(op.a)?, self.code_by_code(op.b)?);
        if matches!(op.kind, BinaryKind::Minimum | BinaryKind::Maximum) && !self.output.is_power_of_two() {
            // The one code or the other: any scale serves, where all have it.
            self.same_codes(&a)?;
            self.same_codes(&b)?;
            self.require((op.a_shift, op.b_shift, op.right_shift) == (0, 0, 0), NodeFault::Shift)?;
            return self.activation(op.activation);
        }
        self.powers_of_two(&b)?;
        let (e_a, e_b) = (i16::from(a.exponent), i16::from(b.exponent));
        let (accumulator, bound) = if op.kind == BinaryKind::Mul {
            self.require((op.a_shift, op.b_shift) == (0, 0), NodeFault::Shift)?;
            (e_a + e_b, a.element.max_abs() * b.element.max_abs())
        } else {
            self.require(op.a_shift <= MAX_ALIGN_SHIFT && op.b_shift <= MAX_ALIGN_SHIFT, NodeFault::Shift)?;
            let common = e_a - i16::from(op.a_shift);
            self.require(common == e_b - i16::from(op.b_shift), NodeFault::Exponent)?;
            (common, (a.element.max_abs() << op.a_shift) + (b.element.max_abs() << op.b_shift))
        };
        self.shifted(&a, accumulator, op.right_shift)?;
        self.fits(0, bound + i64::from(rounding(op.right_shift)))?;
        self.activation(op.activation)
    }

    pub(super) fn clip(&self, op: &Clip) -> Result<(), LoadError> {
        let input = self.code_by_code(op.input)?;
        self.same_codes(&input)?;
        self.activation(op.activation)
    }

    pub(super) fn rescale(&self, op: &Rescale) -> Result<(), LoadError> {
        let input = self.code_by_code(op.input)?;
        self.shifted(&input, input.exponent.into(), op.right_shift)?;
        self.activation(op.activation)
    }

    pub(super) fn leaky_relu(&self, op: &LeakyRelu<'_>) -> Result<(), LoadError> {
        let input = self.code_by_code(op.input)?;
        let (one, each) = (2, 2 * usize::from(input.shape.c));
        self.require(op.slopes.len() == one || op.slopes.len() == each, NodeFault::BlobLength)?;
        self.require(op.slope_bits <= MAX_SLOPE_BITS, NodeFault::Shift)?;
        self.shifted(&input, i16::from(input.exponent) - i16::from(op.slope_bits), op.right_shift)?;
        let steepest = i64::from(i16::MAX) + 1;
        self.fits(0, input.element.max_abs() * steepest + i64::from(rounding(op.right_shift)))?;
        self.activation(op.activation)
    }

    pub(super) fn table(&self, op: &Table<'_>) -> Result<(), LoadError> {
        let input = self.code_by_code(op.input)?;
        let len = Table::entries(input.element) * self.output.element.bytes();
        self.require(op.codes.len() == len, NodeFault::BlobLength)
    }

    pub(super) fn softmax(&self, op: &Softmax<'_>) -> Result<(), LoadError> {
        let input = self.code_by_code(op.input)?;
        self.require(input.element != Element::I16, NodeFault::Element)?;
        self.powers_of_two(&input)?;
        self.require(op.exponentials.len() == 2 * SOFTMAX_ENTRIES, NodeFault::BlobLength)?;
        let (entries, _) = op.exponentials.as_chunks::<2>();
        let legal = entries.iter().all(|bytes| u16::from_le_bytes(*bytes) <= SOFTMAX_ONE)
            && entries.first().is_some_and(|bytes| u16::from_le_bytes(*bytes) == SOFTMAX_ONE);
        self.require(legal, NodeFault::Table)?;
        let exponent = -i64::from(Softmax::output_bits(self.output.element));
        self.require(i64::from(self.output.exponent) == exponent, NodeFault::Exponent)
    }

    pub(super) fn affine_softmax(&self, op: &AffineSoftmax<'_>) -> Result<(), LoadError> {
        let input = self.code_by_code(op.input)?;
        let bytes = input.element != Element::I16 && self.output.element != Element::I16;
        self.require(bytes, NodeFault::Element)?;
        self.require(input.shape.c <= AffineSoftmax::MAX_CHANNELS, NodeFault::Shape)?;
        if op.exponentials.len() == AffineSoftmax::SCALE_BYTES {
            let legal = |(multiplier, left_shift)| multiplier >= 1 << 30 && (1..=31).contains(&left_shift);
            self.require(op.scale().is_some_and(legal), NodeFault::Shift)?;
        } else {
            self.require(op.exponentials.len() == 4 * SOFTMAX_ENTRIES, NodeFault::BlobLength)?;
            let (entries, _) = op.exponentials.as_chunks::<4>();
            let mut entries = entries.iter().map(|bytes| i32::from_le_bytes(*bytes));
            let legal = entries.next() == Some(i32::MAX) && entries.all(|entry| entry >= 0);
            self.require(legal, NodeFault::Table)?;
        }
        let TensorRecord { exponent, mantissa, zero, element, .. } = self.output;
        let scale = (exponent, mantissa) == (AffineSoftmax::OUTPUT_EXPONENT, 1);
        self.require(scale && zero == element.min(), NodeFault::Exponent)
    }

    pub(super) fn argmax(&self, op: &Argmax) -> Result<(), LoadError> {
        let Shape { h, w, c } = self.input(op.input)?.shape;
        self.shaped(Some(Shape { h, w, c: 1 }))?;
        self.require(i32::from(c) - 1 <= self.output.element.max().into(), NodeFault::Element)?;
        self.require(self.output.is_power_of_two(), NodeFault::Scheme)?;
        self.require(self.output.exponent == 0, NodeFault::Exponent)
    }

    pub(super) fn affine_binary(&self, op: &AffineBinary) -> Result<(), LoadError> {
        let (a, b) = (self.code_by_code(op.input_a)?, self.code_by_code(op.input_b)?);
        let words = [&a, &b, &self.output].iter().any(|tensor| tensor.element == Element::I16);
        self.require(!words, NodeFault::Element)?;
        let zeros = (op.a.zero, op.b.zero, op.output.zero) == (a.zero, b.zero, self.output.zero);
        self.require(zeros, NodeFault::Scheme)?;
        // With eight bits, operands shifted left by 20 and their sum stay in 32 bits; a product has 16 and room for 14.
        let greatest = if op.kind == AffineBinaryKind::Mul { 14 } else { 0 };
        let legal =
            |operand: &AffineOperand, greatest| operand.multiplier >= 0 && (-31..=greatest).contains(&operand.shift);
        let in_range = legal(&op.a, 0) && legal(&op.b, 0) && legal(&op.output, greatest);
        self.require(in_range, NodeFault::Shift)?;
        self.activation(op.activation)
    }

    /// The record of an input of the output's shape.
    fn code_by_code(&self, tensor: u16) -> Result<TensorRecord, LoadError> {
        let input = self.input(tensor)?;
        self.shaped(Some(input.shape))?;
        Ok(input)
    }
}
