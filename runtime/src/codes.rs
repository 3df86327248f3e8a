//! The codes of a tensor, of any element.

use crate::format::{Element, Links};
use crate::kernels::Code;

/// Codes where they lie, in the order `[H, W, C]`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Codes<'a> {
    element: Element,
    bytes: &'a [u8],
}

/// Codes that can be written.
#[derive(Debug, PartialEq, Eq)]
pub struct CodesMut<'a> {
    element: Element,
    bytes: &'a mut [u8],
}

impl<'a> Codes<'a> {
    /// Codes of an element in their bytes; a byte too many belongs to none.
    #[must_use]
    pub const fn new(element: Element, bytes: &'a [u8]) -> Self {
        Self { element, bytes }
    }

    /// Codes of one byte with a sign.
    #[must_use]
    pub const fn from_i8(codes: &'a [i8]) -> Self {
        Self { element: Element::I8, bytes: bytemuck::must_cast_slice(codes) }
    }

    /// Width and sign.
    #[must_use]
    pub const fn element(&self) -> Element {
        self.element
    }

    /// The codes' bytes, as they lie in the arena: what a digest is of.
    #[must_use]
    pub const fn bytes(&self) -> &'a [u8] {
        self.bytes
    }

    /// Number of codes.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.bytes.len() / self.element.bytes()
    }

    /// True where there are none.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// One code; `None` past the last.
    #[inline]
    #[must_use]
    pub fn get(&self, index: usize) -> Option<i16> {
        match self.element {
            Element::I8 => self.bytes.get(index).map(|byte| byte.cast_signed().into()),
            Element::U8 => self.bytes.get(index).map(|byte| i16::from(*byte)),
            Element::I16 => self.bytes.as_chunks::<2>().0.get(index).map(|bytes| i16::from_le_bytes(*bytes)),
        }
    }

    /// As [`Self::get`], in a program that links the elements of `LINKS` alone.
    #[inline]
    pub(crate) fn get_linked<const LINKS: Links>(&self, index: usize) -> Option<i16> {
        match self.element {
            Element::I16 if !Element::I16.is_in(LINKS) => None,
            Element::U8 if !Element::U8.is_in(LINKS) => None,
            _ => self.get(index),
        }
    }

    /// The codes, of an element that is known while compiling.
    pub(crate) fn typed<X: Code>(&self) -> &'a [X] {
        X::cast(self.bytes)
    }

    /// Every code in turn.
    pub fn iter(&self) -> impl Iterator<Item = i16> + use<'a> {
        let codes = *self;
        (0..self.len()).map_while(move |index| codes.get(index))
    }

    /// The codes without a copy, where they are `i8`.
    #[must_use]
    pub fn as_i8(&self) -> Option<&'a [i8]> {
        (self.element == Element::I8).then(|| bytemuck::must_cast_slice(self.bytes))
    }

    /// The codes without a copy, where they are `u8`.
    #[must_use]
    pub fn as_u8(&self) -> Option<&'a [u8]> {
        (self.element == Element::U8).then_some(self.bytes)
    }
}

impl<'a> CodesMut<'a> {
    pub(crate) const fn new(element: Element, bytes: &'a mut [u8]) -> Self {
        Self { element, bytes }
    }

    /// Width and sign.
    #[must_use]
    pub const fn element(&self) -> Element {
        self.element
    }

    /// Number of codes.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.bytes.len() / self.element.bytes()
    }

    /// True where there are none.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The codes' bytes: for a sensor that writes codes by itself.
    #[must_use]
    pub fn into_bytes(self) -> &'a mut [u8] {
        self.bytes
    }

    /// The codes without a copy, where they are `i8`.
    #[must_use]
    pub fn into_i8(self) -> Option<&'a mut [i8]> {
        (self.element == Element::I8).then(|| bytemuck::must_cast_slice_mut(self.bytes))
    }

    /// Writes one code, clipped into the element's range; nothing past the last.
    #[inline]
    pub fn set(&mut self, index: usize, code: i16) {
        let clipped = code.clamp(self.element.min(), self.element.max()).to_le_bytes();
        let start = index.saturating_mul(self.element.bytes());
        let target = self.bytes.get_mut(start..).and_then(|bytes| bytes.get_mut(..self.element.bytes()));
        for (byte, clipped) in target.into_iter().flatten().zip(clipped) {
            *byte = clipped;
        }
    }

    /// Writes one code everywhere.
    pub fn fill(&mut self, code: i16) {
        for index in 0..self.len() {
            self.set(index, code);
        }
    }

    /// Writes codes from the first on; as many as there are on both sides.
    pub fn copy_from(&mut self, codes: impl IntoIterator<Item = impl Into<i16>>) {
        for (index, code) in (0..self.len()).zip(codes) {
            self.set(index, code.into());
        }
    }
}

#[cfg(test)]
mod tests {
    use std::vec::Vec;

    use super::*;

    #[test]
    fn what_was_set_is_read_of_every_element() {
        for element in Element::ALL {
            let mut bytes = [0x5a; 9];
            let mut codes = CodesMut::new(element, &mut bytes);
            assert_eq!(codes.len(), 9 / element.bytes());
            codes.copy_from([element.min(), -1, 0, element.max()]);
            codes.set(99, 7);
            let codes = Codes::new(element, &bytes);
            let expected = [element.min(), (-1).max(element.min()), 0, element.max()];
            assert_eq!(codes.iter().take(4).collect::<Vec<_>>(), expected);
            assert_eq!(codes.get(codes.len()), None);
        }
    }

    #[test]
    fn a_code_out_of_range_is_clipped() {
        let mut bytes = [0; 2];
        CodesMut::new(Element::U8, &mut bytes).copy_from([-3_i16, 300]);
        assert_eq!(bytes, [0, 255]);
    }
}
