//! The input of a layer, widened and in a frame.

use std::vec::Vec;

use super::instruction_set::InstructionSet;
use super::vectors::{Vectors, Work};
use crate::codes::Codes;
use crate::format::{Element, Shape, Window};

/// Codes that may be read behind an image's end: a vector's worth.
pub(super) const SLACK: usize = 64;

/// A frame may make an input so many times larger, and this many codes besides, before the portable kernel is left to run it.
const GREATEST_GROWTH: usize = 8;
const SMALL: usize = 1 << 20;

/// A code as an image holds it.
pub(super) trait ImageCode: Copy {
    /// A code's value.
    fn of(code: i16, element: Element) -> Self;

    /// A tensor's codes from index `start` on, as many as there are on both sides.
    fn copy(input: Codes<'_>, start: usize, target: &mut [Self]);
}

/// The code itself.
impl ImageCode for i16 {
    #[inline(always)]
    fn of(code: i16, _: Element) -> Self {
        code
    }

    #[inline(always)]
    fn copy(input: Codes<'_>, start: usize, target: &mut [Self]) {
        widen(input, start, target);
    }
}

/// A code of 8 bits without its sign: 128 more where it has one.
impl ImageCode for u8 {
    #[inline(always)]
    fn of(code: i16, element: Element) -> Self {
        let [low, _] = code.to_le_bytes();
        if element == Element::I8 { low ^ 0x80 } else { low }
    }

    #[inline(always)]
    fn copy(input: Codes<'_>, start: usize, target: &mut [Self]) {
        let bytes = input.bytes().get(start..).unwrap_or_default();
        let flip = if input.element() == Element::I8 { 0x80 } else { 0 };
        target.iter_mut().zip(bytes).for_each(|(code, byte)| *code = byte ^ flip);
    }
}

/// An input as codes `[H, W, C]`, with what padding reads as around it.
#[derive(Debug, Default)]
pub(super) struct Image<X> {
    codes: Vec<X>,
    rows: usize,
    columns: usize,
    channels: usize,
}

impl<X: ImageCode> Image<X> {
    /// Every code of the image, and some behind it.
    #[inline(always)]
    pub(super) fn codes(&self) -> &[X] {
        &self.codes
    }

    /// Index of the first channel of a pixel.
    #[inline(always)]
    pub(super) const fn place(&self, y: usize, x: usize) -> usize {
        (y * self.columns + x) * self.channels
    }

    /// Takes a whole tensor, without a frame.
    pub(super) fn plain(&mut self, set: InstructionSet, input: Codes<'_>, shape: Shape) -> Option<()> {
        [self.rows, self.columns, self.channels] = [shape.h, shape.w, shape.c].map(usize::from);
        self.reserve(shape.len(), X::of(0, input.element()));
        set.run(Rows { input, target: &mut self.codes, len: shape.len(), steps: (0, 0), count: 1 })
    }

    /// Room for so many codes, and some behind.
    fn reserve(&mut self, len: usize, code: X) {
        if self.codes.len() < len + SLACK {
            self.codes.resize(len + SLACK, code);
        }
    }

    /// Takes an input with the rows and columns that `window` reaches for `out_h` by `out_w` pixels; padding reads as `zero`.
    /// `None` where the frame would be far larger than the input.
    pub(super) fn frame(
        &mut self,
        set: InstructionSet,
        input: Codes<'_>,
        shape: Shape,
        window: &Window,
        (out_h, out_w): (usize, usize),
        zero: i16,
    ) -> Option<()> {
        let reach = |out: usize, stride: u8, kernel: u8, dilation: u8| {
            out.saturating_sub(1) * usize::from(stride)
                + usize::from(kernel.saturating_sub(1)) * usize::from(dilation)
                + 1
        };
        let [h, w, c] = [shape.h, shape.w, shape.c].map(usize::from);
        let (top, left) = (usize::from(window.pad_top), usize::from(window.pad_left));
        self.rows = reach(out_h, window.stride_h, window.kernel_h, window.dilation_h);
        self.columns = reach(out_w, window.stride_w, window.kernel_w, window.dilation_w);
        self.channels = c;
        let len = self.rows.saturating_mul(self.columns).saturating_mul(c);
        if len > shape.len().saturating_mul(GREATEST_GROWTH).saturating_add(SMALL) {
            return None;
        }
        let zero = X::of(zero, input.element());
        self.reserve(len, zero);
        let columns = w.min(self.columns.saturating_sub(left));
        let count = h.min(self.rows.saturating_sub(top));
        if (count, columns) != (self.rows, self.columns) {
            self.codes.get_mut(..len)?.fill(zero);
        }
        let start = self.place(top, left);
        let target = self.codes.get_mut(start..)?;
        set.run(Rows { input, target, len: columns * c, steps: (w * c, self.columns * c), count })
    }
}

/// Copies rows of an input into an image.
struct Rows<'a, X> {
    input: Codes<'a>,
    /// From the first code on.
    target: &'a mut [X],
    /// Codes of a row that are copied.
    len: usize,
    /// Codes from one row to the next, in the input and in the image.
    steps: (usize, usize),
    count: usize,
}

impl<X: ImageCode> Work for Rows<'_, X> {
    #[inline(always)]
    fn run<V: Vectors<L>, const L: usize>(self, _: V) {
        for row in 0..self.count {
            let target = self.target.get_mut(row * self.steps.1..).and_then(|codes| codes.get_mut(..self.len));
            X::copy(self.input, row * self.steps.0, target.unwrap_or_default());
        }
    }
}

/// Codes from index `start` on, as many as there are on both sides.
#[inline(always)]
fn widen(input: Codes<'_>, start: usize, target: &mut [i16]) {
    let bytes = input.bytes().get(start * input.element().bytes()..).unwrap_or_default();
    match input.element() {
        Element::I8 => target.iter_mut().zip(bytes).for_each(|(code, byte)| *code = byte.cast_signed().into()),
        Element::U8 => target.iter_mut().zip(bytes).for_each(|(code, byte)| *code = (*byte).into()),
        Element::I16 => {
            target.iter_mut().zip(bytes.as_chunks().0).for_each(|(code, bytes)| *code = i16::from_le_bytes(*bytes))
        }
    }
}
