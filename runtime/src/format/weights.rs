//! Constants of the layers that accumulate products.

use serde::{Deserialize, Serialize};

use super::{AFFINE_LINK, Links, Packing, Scratch};
use crate::arithmetic::Requantizer;

/// The constants of a layer that accumulates products. Spec 2 and 3.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Weights<'a> {
    /// Width of one code.
    pub bits: WeightBits,
    /// Order of the codes, and whose kernels run the layer.
    pub packing: Packing,
    /// What those kernels use of the arena.
    pub scratch: Scratch,
    /// How many zeros bring the codes to a multiple of [`CODES_ALIGNMENT`] bytes from the start of the file.
    #[serde(with = "zeros")]
    pub padding: u8,
    /// Codes, `bits` each, the first in the lowest bits.
    pub codes: &'a [u8],
    /// `[C_OUT]` i32 in little-endian bytes, at the accumulator's step.
    pub bias: &'a [u8],
    /// What the accumulator ends in.
    #[serde(borrow)]
    pub epilogue: Epilogue<'a>,
}

/// Bytes to a multiple of which the codes of packed weights begin in the file, so that a core need not split its loads.
pub const CODES_ALIGNMENT: usize = 4;

/// A number of zeros as a string of them.
mod zeros {
    use serde::de::Error;
    use serde::{Deserialize, Deserializer, Serializer};

    use super::CODES_ALIGNMENT;

    pub(super) fn serialize<S: Serializer>(count: &u8, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bytes([0; CODES_ALIGNMENT].get(..usize::from(*count)).unwrap_or_default())
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u8, D::Error> {
        let len = <&[u8]>::deserialize(deserializer)?.len();
        if len < CODES_ALIGNMENT { Ok(len as u8) } else { Err(D::Error::invalid_length(len, &"up to 3 zeros")) }
    }
}

/// Width of a weight's code. Spec 1.3.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[repr(u8)]
pub enum WeightBits {
    /// Four codes a byte.
    Two,
    /// Two codes a byte.
    Four,
    /// One code a byte.
    #[default]
    Eight,
    /// Two bytes a code, the low one first.
    Sixteen,
}

impl WeightBits {
    /// Every width, in the order of its number.
    pub const ALL: [Self; 4] = [Self::Two, Self::Four, Self::Eight, Self::Sixteen];

    /// Bits of one code.
    #[must_use]
    pub const fn bits(self) -> u32 {
        2 << self as u32
    }

    /// Greatest code: the range is narrow, `-max` to `max`. Spec 1.3.
    #[must_use]
    pub const fn max(self) -> i16 {
        i16::MAX >> (16 - self.bits())
    }

    /// Bytes of a number of codes.
    #[must_use]
    pub const fn bytes(self, count: usize) -> Option<usize> {
        match count.checked_mul(self.bits() as usize) {
            Some(bits) => Some(bits.div_ceil(8)),
            None => None,
        }
    }
}

/// What the accumulators of a layer end in: one entry for each output channel, or one for all.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Epilogue<'a> {
    /// `[C_OUT]` or `[1]` i8: a positive value shifts right, a negative one left. The bias holds the rounding constant
    /// `2^(right_shift - 1)` as well. Spec 3.1.
    Shift(&'a [u8]),
    /// A multiplier and a zero point. Spec 3.4.
    #[serde(borrow)]
    Multiply(Multiply<'a>),
}

/// The affine scheme's end of a layer. Spec 3.4.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Multiply<'a> {
    /// `[C_OUT]` or `[1]` i32 in little-endian bytes: Q31, not negative.
    pub multipliers: &'a [u8],
    /// As many i8: a positive value shifts left before, a negative one right after the multiplication.
    pub shifts: &'a [u8],
    /// Code of the output that means 0.
    pub output_zero: i16,
    /// Code of the input that means 0: what padding reads as.
    pub input_zero: i16,
}

impl Default for Epilogue<'_> {
    fn default() -> Self {
        Self::Shift(&[])
    }
}

impl<'a> Epilogue<'a> {
    /// Entries: 1 for all channels, or one each.
    #[must_use]
    pub const fn len(&self) -> usize {
        match self {
            Self::Shift(shifts) => shifts.len(),
            Self::Multiply(multiply) => multiply.shifts.len(),
        }
    }

    /// True where there is no entry, which no loaded model has.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Code that padding reads as.
    #[must_use]
    pub const fn input_zero(&self) -> i16 {
        match self {
            Self::Shift(_) => 0,
            Self::Multiply(multiply) => multiply.input_zero,
        }
    }

    /// As [`Self::input_zero`], in a program that has the affine scheme if `LINKS` says so.
    #[inline]
    pub(crate) fn linked_zero<const LINKS: Links>(&self) -> i32 {
        if LINKS & AFFINE_LINK == 0 { 0 } else { self.input_zero().into() }
    }

    /// What the accumulator of an output channel ends in.
    #[inline]
    #[must_use]
    pub fn channel(&self, channel: usize) -> Requantizer {
        let index = if self.len() == 1 { 0 } else { channel };
        match self {
            Self::Shift(shifts) => Requantizer::Shift(signed(shifts, index)),
            Self::Multiply(multiply) => {
                let (multipliers, _) = multiply.multipliers.as_chunks::<4>();
                Requantizer::Multiply {
                    multiplier: multipliers.get(index).map_or(0, |bytes| i32::from_le_bytes(*bytes)),
                    shift: signed(multiply.shifts, index),
                    zero: multiply.output_zero,
                }
            }
        }
    }
}

#[inline]
fn signed(bytes: &[u8], index: usize) -> i8 {
    bytes.get(index).map_or(0, |byte| byte.cast_signed())
}

impl<'a> Weights<'a> {
    /// Bias of each output channel.
    #[inline]
    pub(crate) fn biases(&self) -> impl Iterator<Item = i32> + use<'a> {
        self.bias.as_chunks().0.iter().map(|bias| i32::from_le_bytes(*bias))
    }

    /// Bias and end of each output channel.
    #[inline]
    pub fn channels(&self) -> impl Iterator<Item = Channel> + Clone + use<'a> {
        let (biases, _) = self.bias.as_chunks::<4>();
        let epilogue = self.epilogue;
        let channel = move |(index, bias): (usize, &[u8; 4])| Channel {
            bias: i32::from_le_bytes(*bias),
            requantizer: epilogue.channel(index),
        };
        biases.iter().enumerate().map(channel)
    }
}

/// What one output channel starts from and ends in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Channel {
    /// First value of the accumulator.
    pub bias: i32,
    /// From the accumulator to a code.
    pub requantizer: Requantizer,
}
