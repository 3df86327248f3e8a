//! Tensor records: shape, exponent, place in the arena.

use serde::{Deserialize, Serialize};

use super::{Element, Links, decodes};

/// Length in bytes of an encoded [`TensorRecord`]: every field is of fixed width, so that a
/// tensor is found by its index alone.
pub const TENSOR_RECORD_BYTES: usize = 20;

/// Extent of an activation tensor, stored row by row with channels innermost (NHWC, N = 1).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Shape {
    /// Rows.
    #[serde(with = "postcard::fixint::le")]
    pub h: u16,
    /// Columns.
    #[serde(with = "postcard::fixint::le")]
    pub w: u16,
    /// Channels.
    #[serde(with = "postcard::fixint::le")]
    pub c: u16,
}

impl Shape {
    /// Number of codes, saturating at `usize::MAX`.
    #[must_use]
    pub const fn len(self) -> usize {
        (self.h as usize).saturating_mul(self.w as usize).saturating_mul(self.c as usize)
    }

    /// Extent along some axes, 1 along the others: what one mean is over.
    ///
    /// axes  bit 0 for rows, 1 for columns, 2 for channels
    #[must_use]
    pub const fn along(self, axes: u8) -> Self {
        Self {
            h: if axes & 1 != 0 { self.h } else { 1 },
            w: if axes & 2 != 0 { self.w } else { 1 },
            c: if axes & 4 != 0 { self.c } else { 1 },
        }
    }

    /// True when one extent is zero.
    #[must_use]
    pub const fn is_empty(self) -> bool {
        self.len() == 0
    }
}

/// An activation tensor: real value = (code - zero) * mantissa * 2^exponent. Format 3.
///
/// Tensor 0 is the model's input; node `i` writes tensor `i + 1`; the last one is the output.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct TensorRecord {
    /// Offset of the first code in the arena, in bytes.
    #[serde(with = "postcard::fixint::le")]
    pub offset: u32,
    /// Extent.
    pub shape: Shape,
    /// Width and sign of the codes.
    pub element: Element,
    /// log2 of the step, but for the mantissa.
    pub exponent: i8,
    /// 1 where the step is a power of two; of an affine scale its whole significand.
    #[serde(with = "postcard::fixint::le")]
    pub mantissa: u32,
    /// Code of 0; not 0 in the affine scheme alone.
    #[serde(with = "postcard::fixint::le")]
    pub zero: i16,
    /// Index of the last node that reads this tensor; the number of nodes for the model's output.
    #[serde(with = "postcard::fixint::le")]
    pub last_use: u16,
}

impl TensorRecord {
    /// A tensor without codes.
    pub const EMPTY: Self = Self {
        offset: 0,
        shape: Shape { h: 0, w: 0, c: 0 },
        element: Element::I8,
        exponent: 0,
        mantissa: 1,
        zero: 0,
        last_use: 0,
    };

    /// A record from its place in a file. Postcard decodes the same; this takes a third of the flash.
    pub(crate) const fn from_bytes(bytes: &[u8; TENSOR_RECORD_BYTES]) -> Option<Self> {
        let [o0, o1, o2, o3, h0, h1, w0, w1, c0, c1, element, exponent, m0, m1, m2, m3, z0, z1, l0, l1] = *bytes;
        Some(Self {
            offset: u32::from_le_bytes([o0, o1, o2, o3]),
            shape: Shape {
                h: u16::from_le_bytes([h0, h1]),
                w: u16::from_le_bytes([w0, w1]),
                c: u16::from_le_bytes([c0, c1]),
            },
            element: match element {
                0 => Element::I8,
                1 => Element::U8,
                2 => Element::I16,
                _ => return None,
            },
            exponent: exponent.cast_signed(),
            mantissa: u32::from_le_bytes([m0, m1, m2, m3]),
            zero: i16::from_le_bytes([z0, z1]),
            last_use: u16::from_le_bytes([l0, l1]),
        })
    }

    /// Bytes of the codes.
    #[must_use]
    pub const fn bytes(&self) -> usize {
        // One product of more than 32 bits.
        let bytes = (self.shape.h as u32 * self.shape.w as u32) as u64
            * (self.shape.c as u32 * self.element.bytes() as u32) as u64;
        if bytes > usize::MAX as u64 { usize::MAX } else { bytes as usize }
    }

    /// Bytes of one row.
    #[must_use]
    pub const fn row_bytes(&self) -> usize {
        (self.shape.w as usize).saturating_mul(self.shape.c as usize).saturating_mul(self.element.bytes())
    }

    /// True where the step is a power of two and code 0 means 0.
    #[must_use]
    pub const fn is_power_of_two(&self) -> bool {
        self.mantissa == 1 && self.zero == 0
    }

    /// As [`Self::region`], of a tensor that the loader has found to lie in 32 bits; of others, one that no arena has. Kernels count on
    /// extents whose product does not wrap.
    #[inline]
    pub(crate) const fn checked_region<const LINKS: Links>(&self) -> core::ops::Range<usize> {
        let pixels = self.shape.h as usize * self.shape.w as usize;
        let pixel_bytes = self.shape.c as usize * self.element.linked_bytes::<LINKS>();
        let start = self.offset as usize;
        // Of a file that is part of the program this was seen while compiling.
        if !decodes(LINKS) || (pixels | pixel_bytes) >> 16 == 0 {
            return start..start.wrapping_add(pixels.wrapping_mul(pixel_bytes));
        }
        match pixels.checked_mul(pixel_bytes) {
            Some(bytes) => start..start.wrapping_add(bytes),
            None => usize::MAX..usize::MAX,
        }
    }

    /// The bytes of the arena that hold the codes.
    #[must_use]
    pub const fn region(&self) -> core::ops::Range<usize> {
        let start = self.offset as usize;
        start..start.saturating_add(self.bytes())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_is_read_as_postcard_reads_it() {
        let mut bytes: [u8; TENSOR_RECORD_BYTES] = core::array::from_fn(|index| 200_u8.wrapping_add(index as u8));
        for element in 0..4 {
            bytes[10] = element;
            assert_eq!(TensorRecord::from_bytes(&bytes), postcard::from_bytes(&bytes).ok());
        }
    }
}
