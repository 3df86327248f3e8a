//! Elements: width and sign of a tensor's codes.

use serde::{Deserialize, Serialize};

use super::Links;

/// Width and sign of a tensor's codes. Spec 1.3.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[repr(u8)]
pub enum Element {
    /// -128 to 127, one byte.
    #[default]
    I8,
    /// 0 to 255, one byte: after a ReLU.
    U8,
    /// -32768 to 32767, two bytes, the low one first.
    I16,
}

impl Element {
    /// Every element, in the order of its number.
    pub const ALL: [Self; 3] = [Self::I8, Self::U8, Self::I16];

    /// Bytes of one code.
    #[must_use]
    pub const fn bytes(self) -> usize {
        match self {
            Self::I8 | Self::U8 => 1,
            Self::I16 => 2,
        }
    }

    /// As [`Self::bytes`], in a program that links the elements of `LINKS` alone.
    #[inline]
    pub(crate) const fn linked_bytes<const LINKS: Links>(self) -> usize {
        if Self::I16.is_in(LINKS) { self.bytes() } else { 1 }
    }

    /// Least code.
    #[must_use]
    pub const fn min(self) -> i16 {
        match self {
            Self::I8 => i8::MIN as i16,
            Self::U8 => 0,
            Self::I16 => i16::MIN,
        }
    }

    /// Greatest code.
    #[must_use]
    pub const fn max(self) -> i16 {
        match self {
            Self::I8 => i8::MAX as i16,
            Self::U8 => u8::MAX as i16,
            Self::I16 => i16::MAX,
        }
    }

    /// Greatest magnitude of a code, as an input of an accumulator. Spec 2.2.
    #[must_use]
    pub const fn max_abs(self) -> i64 {
        match self {
            Self::I8 => 128,
            Self::U8 => 255,
            Self::I16 => 32_768,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Element;

    #[test]
    fn the_greatest_magnitude_is_that_of_a_bound() {
        for element in Element::ALL {
            let (min, max) = (i64::from(element.min()), i64::from(element.max()));
            assert_eq!(element.max_abs(), max.max(-min));
            assert_eq!(max - min, (1 << (8 * element.bytes())) - 1);
        }
    }
}
