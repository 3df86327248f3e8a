//! Weights of every width, read one by one.

use super::Code;
use crate::format::WeightBits;

/// The codes of a layer's weights.
pub trait WeightCodes: Copy {
    /// The codes from index `start` on.
    fn from(self, start: usize) -> Self;

    /// The first `len` codes; fewer or none where there are not as many.
    fn run(self, len: usize) -> Option<impl Iterator<Item = i32>>;

    /// `sum(x * w)` over the codes `x` and the first as many weights, modulo 2^32; of fewer weights, the sum over them or 0. Where sums
    /// are long, code that takes several products a step is worth its flash.
    #[inline]
    fn sum_of_products<X: Code>(self, x: &[X]) -> i32 {
        self.run(x.len()).map_or(0, |w| sum_of_products(x, w))
    }

    /// Every `step`-th code, the first one first.
    fn every(self, step: usize) -> impl Iterator<Item = i32>;

    /// The code at an index; 0 behind the last.
    fn code(self, index: usize) -> i32 {
        self.from(index).every(1).next().unwrap_or(0)
    }
}

/// `sum(x * w)`, modulo 2^32.
#[inline]
pub(super) fn sum_of_products<X: Code>(x: &[X], w: impl Iterator<Item = i32>) -> i32 {
    x.iter().zip(w).fold(0, |sum, (x, w)| sum.wrapping_add(x.get() * w))
}

/// Every `step`-th code from index `start` on, up to the first that is not there.
#[inline]
fn codes(start: usize, step: usize, at: impl Fn(usize) -> Option<i32>) -> impl Iterator<Item = i32> {
    let mut next = start;
    core::iter::from_fn(move || {
        let index = next;
        next = next.saturating_add(step);
        at(index)
    })
}

/// Codes of one byte.
#[derive(Debug, Clone, Copy)]
pub struct Bytes<'a>(pub &'a [i8]);

/// Codes of `BITS` bits, less than 8: the first in the lowest bits of the first byte.
#[derive(Debug, Clone, Copy)]
pub struct Packed<'a, const BITS: usize> {
    /// As in a file.
    bytes: &'a [u8],
    /// Index of the first code there.
    first: usize,
}

/// Codes of two bytes.
#[derive(Debug, Clone, Copy)]
pub struct Words<'a>(pub &'a [u8]);

impl WeightCodes for Bytes<'_> {
    /// Four products a step.
    #[inline]
    fn sum_of_products<X: Code>(self, x: &[X]) -> i32 {
        let Some(w) = self.0.get(..x.len()) else { return 0 };
        let product = |x: &X, w: &i8| x.get() * i32::from(*w);
        let ((x_fours, x_last), (w_fours, w_last)) = (x.as_chunks::<4>(), w.as_chunks::<4>());
        let fours = x_fours.iter().zip(w_fours).fold(0_i32, |sum, ([a, b, c, d], [k, l, m, n])| {
            let sum = sum.wrapping_add(product(a, k)).wrapping_add(product(b, l));
            sum.wrapping_add(product(c, m)).wrapping_add(product(d, n))
        });
        x_last.iter().zip(w_last).fold(fours, |sum, (x, w)| sum.wrapping_add(product(x, w)))
    }

    #[inline]
    fn from(self, start: usize) -> Self {
        Self(self.0.get(start..).unwrap_or_default())
    }

    #[inline]
    fn run(self, len: usize) -> Option<impl Iterator<Item = i32>> {
        Some(self.0.get(..len)?.iter().map(|code| i32::from(*code)))
    }

    #[inline]
    fn every(self, step: usize) -> impl Iterator<Item = i32> {
        self.0.iter().step_by(step.max(1)).map(|code| i32::from(*code))
    }
}

impl<'a, const BITS: usize> Packed<'a, BITS> {
    const IN_BYTE: usize = 8 / BITS;

    /// All codes of a layer.
    #[inline]
    pub const fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, first: 0 }
    }

    #[inline]
    fn at(self, index: usize) -> i32 {
        let byte = self.bytes.get(index / Self::IN_BYTE).copied().unwrap_or(0);
        let above = 8 - BITS * (index % Self::IN_BYTE + 1);
        // The code at the top of the byte, then down again with its sign.
        let code = (byte << (above & 7)).cast_signed() >> (8 - BITS);
        code.into()
    }
}

impl<const BITS: usize> WeightCodes for Packed<'_, BITS> {
    #[inline]
    fn from(self, start: usize) -> Self {
        Self { first: self.first.saturating_add(start), ..self }
    }

    #[inline]
    fn run(self, len: usize) -> Option<impl Iterator<Item = i32>> {
        Some(self.every(1).take(len))
    }

    #[inline]
    fn every(self, step: usize) -> impl Iterator<Item = i32> {
        let len = self.bytes.len().saturating_mul(Self::IN_BYTE);
        codes(self.first, step, move |index| (index < len).then(|| self.at(index)))
    }
}

impl WeightCodes for Words<'_> {
    #[inline]
    fn from(self, start: usize) -> Self {
        Self(self.0.get(start.saturating_mul(2)..).unwrap_or_default())
    }

    #[inline]
    fn run(self, len: usize) -> Option<impl Iterator<Item = i32>> {
        Some(self.every(1).take(len))
    }

    #[inline]
    fn every(self, step: usize) -> impl Iterator<Item = i32> {
        self.0.as_chunks::<2>().0.iter().step_by(step.max(1)).map(|bytes| i16::from_le_bytes(*bytes).into())
    }
}

/// Codes of a width that is told while the program runs: slower, and one copy of what reads them.
#[derive(Debug, Clone, Copy)]
pub struct AnyWidth<'a> {
    /// Width of each.
    pub(crate) bits: WeightBits,
    /// As in a file.
    bytes: &'a [u8],
    /// Index of the first code there.
    first: usize,
}

impl<'a> AnyWidth<'a> {
    /// All codes of a layer.
    pub const fn new(bits: WeightBits, bytes: &'a [u8]) -> Self {
        Self { bits, bytes, first: 0 }
    }

    #[inline(never)]
    fn at(self, index: usize) -> Option<i32> {
        if self.bits == WeightBits::Sixteen {
            return self.bytes.as_chunks::<2>().0.get(index).map(|bytes| i16::from_le_bytes(*bytes).into());
        }
        let (bits, first) = (self.bits.bits(), index.checked_mul(self.bits.bits() as usize)?);
        let byte = *self.bytes.get(first / 8)?;
        // The code at the top of the byte, then down again with its sign.
        let above = (8 - bits).wrapping_sub((first % 8) as u32);
        Some(((byte << (above & 7)).cast_signed() >> ((8 - bits) & 7)).into())
    }
}

impl WeightCodes for AnyWidth<'_> {
    #[inline]
    fn from(self, start: usize) -> Self {
        Self { first: self.first.saturating_add(start), ..self }
    }

    #[inline]
    fn run(self, len: usize) -> Option<impl Iterator<Item = i32>> {
        Some(self.every(1).take(len))
    }

    #[inline]
    fn every(self, step: usize) -> impl Iterator<Item = i32> {
        codes(self.first, step, move |index| self.at(index))
    }
}

/// `$call` with the weights as [`WeightCodes`] of their width, of those that the program links; `$otherwise` with others.
macro_rules! by_width {
    ($links:ident, $weights:expr, |$w:ident| $call:expr, else $otherwise:expr) => {{
        use $crate::format::WeightBits;
        match $weights.bits {
            WeightBits::Two if WeightBits::Two.is_in($links) => {
                let $w = $crate::kernels::Packed::<2>::new($weights.codes);
                $call
            }
            WeightBits::Four if WeightBits::Four.is_in($links) => {
                let $w = $crate::kernels::Packed::<4>::new($weights.codes);
                $call
            }
            WeightBits::Eight if WeightBits::Eight.is_in($links) => {
                let $w = $crate::kernels::Bytes(bytemuck::must_cast_slice($weights.codes));
                $call
            }
            WeightBits::Sixteen if WeightBits::Sixteen.is_in($links) => {
                let $w = $crate::kernels::Words($weights.codes);
                $call
            }
            _ => $otherwise,
        }
    }};
}

pub(crate) use by_width;

#[cfg(test)]
mod tests {
    use std::vec::Vec;

    use super::*;

    #[test]
    fn packed_codes_come_from_the_lowest_bits_first() {
        let four = Packed::<4>::new(&[0x2f, 0x87]);
        assert_eq!(four.every(1).collect::<Vec<_>>(), [-1, 2, 7, -8]);
        assert_eq!(four.from(3).every(1).collect::<Vec<_>>(), [-8]);
        assert_eq!(four.from(1).every(2).collect::<Vec<_>>(), [2, -8]);
        assert_eq!(four.from(1).from(1).run(2).unwrap().collect::<Vec<_>>(), [7, -8]);
        let two = Packed::<2>::new(&[0b11_01_00_10]);
        assert_eq!(two.every(1).collect::<Vec<_>>(), [-2, 0, 1, -1]);
        assert_eq!(Words(&[1, 0, 0xff, 0xff]).every(1).collect::<Vec<_>>(), [1, -1]);
        assert_eq!(Words(&[1, 0, 0xff, 0xff]).from(1).run(1).unwrap().collect::<Vec<_>>(), [-1]);
        assert_eq!(Bytes(&[1, -2, 3]).every(2).collect::<Vec<_>>(), [1, 3]);
        assert_eq!(Bytes(&[1, -2, 3]).from(1).run(2).unwrap().collect::<Vec<_>>(), [-2, 3]);
        assert!(Bytes(&[1, -2, 3]).from(2).run(2).is_none());
    }

    #[test]
    fn sums_of_any_length_are_those_product_by_product() {
        let (x, w) = ([-128_i8, 127, 3, -4, 5, 127, -128, 9, 11], [-128_i8, 127, -7, 64, 1, -128, 127, 2, -3]);
        for len in 0..=x.len() {
            let expected: i32 = x.iter().zip(&w).take(len).map(|(x, w)| i32::from(*x) * i32::from(*w)).sum();
            assert_eq!(Bytes(&w).sum_of_products(&x[..len]), expected, "{len}");
        }
        assert_eq!(Bytes(&w[..5]).sum_of_products(&x[..6]), 0);
        assert_eq!(Words(&[2, 0, 0xff, 0xff]).sum_of_products(&x[..2]), -256 - 127);
        assert_eq!(Packed::<4>::new(&[0x2f]).sum_of_products(&x[..2]), 128 + 254);
    }

    #[test]
    fn a_width_told_later_gives_the_same_codes() {
        let bytes = [0x2f, 0x87, 0xb2, 0x00, 0xff, 0x7f];
        let any = |bits| AnyWidth::new(bits, &bytes).from(1).every(1).collect::<Vec<_>>();
        assert_eq!(any(WeightBits::Two), Packed::<2>::new(&bytes).from(1).every(1).collect::<Vec<_>>());
        assert_eq!(any(WeightBits::Four), Packed::<4>::new(&bytes).from(1).every(1).collect::<Vec<_>>());
        assert_eq!(any(WeightBits::Eight), Bytes(&bytes.map(u8::cast_signed)).from(1).every(1).collect::<Vec<_>>());
        assert_eq!(any(WeightBits::Sixteen), Words(&bytes).from(1).every(1).collect::<Vec<_>>());
    }
}
