//! The input of a layer, widened and in a frame.

use std::vec::Vec;

use crate::codes::Codes;
use crate::format::{Element, Shape, Window};

/// Codes that may be read behind an image's end: a vector's worth.
const SLACK: usize = 32;

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
    pub(super) fn plain(&mut self, input: Codes<'_>, shape: Shape) {
        [self.rows, self.columns, self.channels] = [shape.h, shape.w, shape.c].map(usize::from);
        self.codes.clear();
        self.codes.resize(input.len() + SLACK, X::of(0, input.element()));
        X::copy(input, 0, &mut self.codes);
    }

    /// Takes an input with the rows and columns that `window` reaches for `out_h` by `out_w` pixels; padding reads as `zero`.
    /// `None` where the frame would be far larger than the input.
    pub(super) fn frame(
        &mut self,
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
        self.codes.clear();
        self.codes.resize(len + SLACK, X::of(zero, input.element()));
        let inside = w.min(self.columns.saturating_sub(left)) * c;
        for y in 0..h.min(self.rows.saturating_sub(top)) {
            let start = self.place(y + top, left);
            let target = self.codes.get_mut(start..).and_then(|codes| codes.get_mut(..inside)).unwrap_or_default();
            X::copy(input, y * w * c, target);
        }
        Some(())
    }
}

/// Codes from index `start` on, as many as there are on both sides.
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
