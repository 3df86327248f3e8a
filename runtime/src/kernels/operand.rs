//! What kernels read and write: tensors of one element, of any element, and operands that may lie in one place.

use crate::codes::Codes;
use crate::format::{ALL_LINKS, Element, Links, Shape, TensorRecord};

/// A code as it lies in the arena.
pub trait Code: Copy {
    /// The code's value.
    fn get(self) -> i32;

    /// A tensor's bytes as codes.
    fn cast(bytes: &[u8]) -> &[Self];
}

impl Code for i8 {
    #[inline]
    fn get(self) -> i32 {
        self.into()
    }

    fn cast(bytes: &[u8]) -> &[Self] {
        bytemuck::must_cast_slice(bytes)
    }
}

impl Code for u8 {
    #[inline]
    fn get(self) -> i32 {
        self.into()
    }

    fn cast(bytes: &[u8]) -> &[Self] {
        bytes
    }
}

/// An `i16` of any alignment.
impl Code for [u8; 2] {
    #[inline]
    fn get(self) -> i32 {
        i16::from_le_bytes(self).into()
    }

    fn cast(bytes: &[u8]) -> &[Self] {
        bytes.as_chunks().0
    }
}

/// A tensor of one element that a kernel reads.
#[derive(Debug, Clone, Copy)]
pub struct Typed<'a, X> {
    /// Extent.
    pub shape: Shape,
    /// Row of the first code.
    pub first_row: usize,
    /// `[H, W, C]`, from the first row on.
    pub codes: &'a [X],
}

impl<'a, X: Code> Typed<'a, X> {
    /// `len` columns of row `y` from column `x` on, all channels.
    #[inline]
    pub(crate) fn run(&self, y: usize, x: usize, len: usize) -> &'a [X] {
        let codes = self.codes.get(self.place(y, x)..).and_then(|codes| codes.get(..len * usize::from(self.shape.c)));
        codes.unwrap_or_default()
    }

    /// Index of the first channel of a pixel.
    #[inline]
    pub(crate) fn place(&self, y: usize, x: usize) -> usize {
        (y.wrapping_sub(self.first_row) * usize::from(self.shape.w) + x) * usize::from(self.shape.c)
    }

    /// Codes from one row to the next.
    #[inline]
    pub(crate) fn row_len(&self) -> usize {
        usize::from(self.shape.w) * usize::from(self.shape.c)
    }
}

/// A tensor that a kernel reads.
#[derive(Debug, Clone, Copy)]
pub struct View<'a> {
    /// Extent.
    pub shape: Shape,
    /// Width and sign of the codes.
    pub element: Element,
    /// Row of the first code.
    pub first_row: usize,
    /// The codes' bytes, `[H, W, C]`, from the first row on.
    pub bytes: &'a [u8],
}

impl<'a> View<'a> {
    /// Width and sign of the codes.
    #[inline]
    pub(crate) const fn element(&self) -> Element {
        self.element
    }

    /// `[H, W, C]`, from the first row on.
    #[inline]
    pub(crate) const fn codes(&self) -> Codes<'a> {
        Codes::new(self.element, self.bytes)
    }

    /// Index of the first channel of a pixel.
    #[inline]
    pub(crate) fn place(&self, y: usize, x: usize) -> usize {
        (y.wrapping_sub(self.first_row) * usize::from(self.shape.w) + x) * usize::from(self.shape.c)
    }

    /// Codes from one row to the next.
    #[inline]
    pub(crate) fn row_len(&self) -> usize {
        usize::from(self.shape.w) * usize::from(self.shape.c)
    }

    /// The tensor with its element known while compiling.
    #[must_use]
    pub fn typed<X: Code>(&self) -> Typed<'a, X> {
        Typed { shape: self.shape, first_row: self.first_row, codes: X::cast(self.bytes) }
    }

    /// The code at an index.
    #[inline]
    pub(crate) fn code(&self, index: usize) -> i32 {
        self.codes().get(index).map_or(0, i32::from)
    }

    /// The code of a channel of a pixel.
    #[inline]
    pub(crate) fn at(&self, y: usize, x: usize, c: usize) -> i32 {
        self.code((y * usize::from(self.shape.w) + x) * usize::from(self.shape.c) + c)
    }
}

impl TensorRecord {
    /// The whole tensor, in its bytes.
    #[inline]
    pub(crate) fn view<'a>(&self, bytes: &'a [u8]) -> View<'a> {
        View { shape: self.shape, element: self.element, first_row: 0, bytes }
    }

    /// As [`Self::view`], to be written.
    #[inline]
    pub(crate) fn view_mut<'a>(&self, bytes: &'a mut [u8]) -> ViewMut<'a> {
        ViewMut { shape: self.shape, element: self.element, first_row: 0, bytes }
    }
}

/// A tensor that a kernel writes.
#[derive(Debug)]
pub struct ViewMut<'a> {
    /// Extent.
    pub shape: Shape,
    /// Width and sign of the codes.
    pub element: Element,
    /// Row of the first code.
    pub first_row: usize,
    /// `[H, W, C]` codes, from the first row on.
    pub bytes: &'a mut [u8],
}

impl ViewMut<'_> {
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

    /// Writes a code that is in the element's range.
    #[inline]
    pub(crate) fn put(&mut self, index: usize, code: i32) {
        self.linked_put::<ALL_LINKS>(index, code);
    }

    /// As [`Self::put`], in a program that links the elements of `LINKS` alone.
    #[inline]
    pub(crate) fn linked_put<const LINKS: Links>(&mut self, index: usize, code: i32) {
        let [low, high, ..] = code.to_le_bytes();
        if self.element.linked_bytes::<LINKS>() == 1 {
            if let Some(byte) = self.bytes.get_mut(index) {
                *byte = low;
            }
        } else if let Some(bytes) = self.bytes.as_chunks_mut::<2>().0.get_mut(index) {
            *bytes = [low, high];
        }
    }
}

/// Operand and result of an operator that reads each code before it writes it.
#[derive(Debug)]
pub enum InOut<'a> {
    /// The result is written over the operand, whose element is told.
    InPlace(ViewMut<'a>, Element),
    /// Operand and result lie apart.
    Apart(View<'a>, ViewMut<'a>),
}

impl<'a> InOut<'a> {
    /// The result's bytes, which hold the operand's: of elements of one width.
    pub(crate) fn into_bytes(self) -> &'a mut [u8] {
        match self {
            Self::InPlace(output, _) => output.bytes,
            Self::Apart(input, output) => {
                output.bytes.iter_mut().zip(input.bytes).for_each(|(byte, code)| *byte = *code);
                output.bytes
            }
        }
    }

    /// Extent of both.
    #[must_use]
    pub const fn shape(&self) -> Shape {
        match self {
            Self::InPlace(output, _) | Self::Apart(_, output) => output.shape,
        }
    }

    /// Width and sign of the result's codes.
    #[must_use]
    pub const fn element(&self) -> Element {
        match self {
            Self::InPlace(output, _) | Self::Apart(_, output) => output.element,
        }
    }

    /// Width and sign of the operand's codes.
    #[must_use]
    pub const fn operand_element(&self) -> Element {
        match self {
            Self::InPlace(_, element) => *element,
            Self::Apart(input, _) => input.element(),
        }
    }

    /// The operand's code.
    #[inline]
    pub(crate) fn code(&self, index: usize) -> i32 {
        match self {
            Self::InPlace(output, element) => Codes::new(*element, output.bytes).get(index).map_or(0, i32::from),
            Self::Apart(input, _) => input.code(index),
        }
    }

    /// Writes the result's code.
    #[inline]
    pub(crate) fn put(&mut self, index: usize, code: i32) {
        match self {
            Self::InPlace(output, _) | Self::Apart(_, output) => output.put(index, code),
        }
    }

    /// Every code by itself; `f` takes its index too.
    #[inline]
    pub(crate) fn map(&mut self, f: impl Fn(usize, i32) -> i32) {
        for index in 0..self.shape().len() {
            let code = f(index, self.code(index));
            self.put(index, code);
        }
    }
}
