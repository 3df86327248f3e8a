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

/// An input of a layer and what padding reads as around it: where its codes lie.
#[derive(Debug, Clone, Copy)]
pub(super) struct Frame {
    rows: usize,
    columns: usize,
    channels: usize,
    /// Index of the input's first code.
    start: usize,
    /// Rows of the input that a window reaches.
    count: usize,
    /// Codes of such a row that a window reaches.
    len: usize,
    /// Codes of a row of the input.
    row_len: usize,
    /// What padding reads as.
    zero: i16,
}

impl Frame {
    /// With the rows and columns that `window` reaches for `out_h` by `out_w` pixels. `None` where they would be far more than the
    /// input's.
    pub(super) fn new(shape: Shape, window: &Window, (out_h, out_w): (usize, usize), zero: i16) -> Option<Self> {
        let reach = |out: usize, stride: u8, kernel: u8, dilation: u8| {
            out.saturating_sub(1) * usize::from(stride)
                + usize::from(kernel.saturating_sub(1)) * usize::from(dilation)
                + 1
        };
        let [h, w, channels] = [shape.h, shape.w, shape.c].map(usize::from);
        let (top, left) = (usize::from(window.pad_top), usize::from(window.pad_left));
        let rows = reach(out_h, window.stride_h, window.kernel_h, window.dilation_h);
        let columns = reach(out_w, window.stride_w, window.kernel_w, window.dilation_w);
        let len = rows.saturating_mul(columns).saturating_mul(channels);
        if len > shape.len().saturating_mul(GREATEST_GROWTH).saturating_add(SMALL) {
            return None;
        }
        Some(Self {
            rows,
            columns,
            channels,
            start: len.min((top * columns + left) * channels),
            count: h.min(rows.saturating_sub(top)),
            len: w.min(columns.saturating_sub(left)) * channels,
            row_len: w * channels,
            zero,
        })
    }

    /// A whole tensor, without padding.
    pub(super) fn plain(shape: Shape) -> Self {
        let [rows, columns, channels] = [shape.h, shape.w, shape.c].map(usize::from);
        let len = columns * channels;
        Self { rows, columns, channels, start: 0, count: rows, len, row_len: len, zero: 0 }
    }

    /// Index of the first channel of a pixel.
    #[inline(always)]
    pub(super) const fn place(&self, y: usize, x: usize) -> usize {
        (y * self.columns + x) * self.channels
    }
}

/// An input as codes `[H, W, C]`, with what padding reads as around it.
#[derive(Debug, Default)]
pub(super) struct Image<X> {
    codes: Vec<X>,
}

impl<X: ImageCode> Image<X> {
    /// Every code of the image, and some behind it.
    #[inline(always)]
    pub(super) fn codes(&self) -> &[X] {
        &self.codes
    }

    /// Takes an input.
    pub(super) fn take(&mut self, set: InstructionSet, input: Codes<'_>, frame: &Frame) -> Option<()> {
        let len = frame.rows * frame.columns * frame.channels;
        let zero = X::of(frame.zero, input.element());
        if self.codes.len() < len + SLACK {
            self.codes.resize(len + SLACK, zero);
        }
        set.run(Rows { input, frame, zero, target: &mut self.codes })
    }
}

/// Copies rows of an input into an image, and writes what is around them.
struct Rows<'a, X> {
    input: Codes<'a>,
    frame: &'a Frame,
    zero: X,
    /// The image, and [`SLACK`] codes behind it.
    target: &'a mut [X],
}

impl<X: ImageCode> Work for Rows<'_, X> {
    #[inline(always)]
    fn run<V: Vectors<L>, const L: usize>(self, _: V) {
        let Frame { rows, columns, channels, start, row_len, .. } = *self.frame;
        let (step, all) = (columns * channels, rows * columns * channels);
        let is_whole = [self.frame.len, row_len] == [step; 2];
        let (count, len) = if is_whole { (1, self.frame.count * step) } else { (self.frame.count, self.frame.len) };
        fill(self.target, self.zero, start);
        for row in 0..count {
            let start = start + row * step;
            let behind = if row + 1 < count { start + step } else { all };
            let target = self.target.get_mut(start..).unwrap_or_default();
            X::copy(self.input, row * row_len, target.get_mut(..len).unwrap_or_default());
            fill(target.get_mut(len..).unwrap_or_default(), self.zero, behind - start - len);
        }
    }
}

/// Fills the first `len` codes, and some behind, which are written later.
#[inline(always)]
fn fill<X: Copy>(target: &mut [X], code: X, len: usize) {
    for chunk in target.as_chunks_mut::<SLACK>().0.iter_mut().take(len.div_ceil(SLACK)) {
        *chunk = [code; SLACK];
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::InstructionSet;

    const SHAPE: Shape = Shape { h: 5, w: 6, c: 21 };

    /// Stale codes, then an input's. What is behind them is not looked at.
    fn taken<X: ImageCode>(set: InstructionSet, stale: X, input: &[u8], element: Element, frame: &Frame) -> Vec<X> {
        let len = frame.rows * frame.columns * frame.channels;
        let mut image = Image { codes: std::vec![stale; len + SLACK] };
        image.take(set, Codes::new(element, input), frame).unwrap();
        image.codes.truncate(len);
        image.codes
    }

    #[test]
    fn what_was_there_before_is_written_over() {
        let input: Vec<u8> = (0..SHAPE.len()).map(|index| (index * 37 % 251) as u8).collect();
        let [h, w, c] = [SHAPE.h, SHAPE.w, SHAPE.c].map(usize::from);
        let sets = InstructionSet::ALL.into_iter().skip(1).filter(|set| *set <= InstructionSet::detected());
        for (set, pads) in sets.flat_map(|set| (0..81).map(move |pads| (set, pads))) {
            let [pad_top, pad_left, pad_bottom, pad_right] = [1, 3, 9, 27].map(|by| (pads / by % 3) as u8);
            for stride in 1..=4 {
                let kernel = Window { stride_h: stride, stride_w: stride, ..Window::new(3, 3) };
                let window = Window { pad_top, pad_left, pad_bottom, pad_right, ..kernel };
                let (out_h, out_w) = window.output_size(SHAPE.h, SHAPE.w).unwrap();
                let frame = Frame::new(SHAPE, &window, (out_h.into(), out_w.into()), -3).unwrap();
                let mut expected = Vec::new();
                for (y, x) in (0..frame.rows).flat_map(|y| (0..frame.columns).map(move |x| (y, x))) {
                    let (y, x) = (y.wrapping_sub(pad_top.into()), x.wrapping_sub(pad_left.into()));
                    for channel in 0..c {
                        let code = (y < h && x < w).then(|| input[(y * w + x) * c + channel].cast_signed());
                        expected.push(code.map_or(-3, i16::from));
                    }
                }
                assert_eq!(taken(set, 77_i16, &input, Element::I8, &frame), expected, "{window:?}");
                let expected: Vec<u8> = expected.iter().map(|code: &i16| (code + 128) as u8).collect();
                assert_eq!(taken(set, 77_u8, &input, Element::I8, &frame), expected, "{window:?}");
            }
        }
    }
}
