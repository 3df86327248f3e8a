//! The inner loops in Rust: what the instructions do, word by word.

use super::instructions::{First, Rows, Sum};
use super::taps::Taps;
use super::tile::{End, Tile};
use crate::format::{Element, WeightBits};

/// Twin of the loops over a tile.
pub(super) fn multiply<const LINKS: u64, const PIXELS: usize>(tile: Tile<'_>) {
    let mut weights = Weights { bits: tile.bits, bytes: tile.weights };
    for pair in 0..tile.pairs() {
        let bias =
            |channel: usize| tile.bias.as_chunks().0.get(2 * pair + channel).map_or(0, |b| i32::from_le_bytes(*b));
        let mut acc = [[bias(0) << weights.scaled_by(); PIXELS], [bias(1) << weights.scaled_by(); PIXELS]];
        for (step, column) in tile.columns.chunks_exact(PIXELS).enumerate() {
            let codes = weights.step(step % 2 == 0);
            for (acc, code) in acc.iter_mut().zip(codes) {
                for (acc, x) in acc.iter_mut().zip(column) {
                    *acc = smlad(*x, code, *acc);
                }
            }
        }
        for (channel, acc) in acc.iter().enumerate() {
            let shift = tile.shifts.get((2 * pair + channel) * tile.shift_step).copied().unwrap_or(0);
            for (pixel, acc) in acc.iter().enumerate() {
                if tile.end == End::Accumulators {
                    let at = 4 * (PIXELS * (2 * pair + channel) + pixel);
                    put(tile.output, at, &acc.to_le_bytes());
                    continue;
                }
                let shifted = acc >> (u32::from(shift) + weights.scaled_by()).min(31);
                let [code, ..] = saturated(shifted, tile.end).to_le_bytes();
                put(tile.output, pixel * tile.pitch + 2 * pair + channel, &[code]);
            }
        }
    }
}

fn put(output: &mut [u8], at: usize, bytes: &[u8]) {
    if let Some(target) = output.get_mut(at..).and_then(|output| output.get_mut(..bytes.len())) {
        target.copy_from_slice(bytes);
    }
}

fn saturated(acc: i32, end: End) -> i32 {
    match end {
        End::Signed8 => acc.clamp(-128, 127),
        End::Unsigned7 => acc.clamp(0, 127),
        End::Unsigned8 => acc.clamp(0, 255),
        End::Accumulators => acc,
    }
}

/// `SMLAD`: both products of 16 bits, added.
fn smlad(x: u32, w: u32, acc: i32) -> i32 {
    let halves = |word: u32| [word as u16, (word >> 16) as u16].map(|half| i32::from(half.cast_signed()));
    let ([x0, x1], [w0, w1]) = (halves(x), halves(w));
    acc.wrapping_add(x0 * w0).wrapping_add(x1 * w1)
}

/// `SXTB16` and `UXTB16`: bytes 0 and 2 of a word, 16 bits each.
fn extend(word: u32, signed: bool) -> u32 {
    let extend = |byte: u8| if signed { i16::from(byte.cast_signed()).cast_unsigned() } else { byte.into() };
    let [a, _, b, _] = word.to_le_bytes();
    u32::from(extend(a)) | u32::from(extend(b)) << 16
}

/// Weights that were not used yet.
struct Weights<'a> {
    bits: WeightBits,
    bytes: &'a [u8],
}

impl Weights<'_> {
    const fn scaled_by(&self) -> u32 {
        if matches!(self.bits, WeightBits::Four) { 4 } else { 0 }
    }

    fn word(&mut self) -> u32 {
        let Some((word, rest)) = self.bytes.split_first_chunk() else { return 0 };
        self.bytes = rest;
        u32::from_le_bytes(*word)
    }

    /// Two weights of each channel; `first` of the two steps of a quad.
    fn step(&mut self, first: bool) -> [u32; 2] {
        let word = match self.bits {
            WeightBits::Sixteen => return [self.word(), self.word()],
            WeightBits::Four if first => {
                let word = self.bytes.first_chunk().map_or(0, |word| u32::from_le_bytes(*word));
                (word << 4) & 0xf0f0_f0f0
            }
            WeightBits::Four => self.word() & 0xf0f0_f0f0,
            _ => self.word(),
        };
        [extend(word, true), extend(word.rotate_right(8), true)]
    }
}

/// Twin of the widening loops.
pub(super) fn widen<const LINKS: u64, const STRIDE: usize>(rows: Rows<'_>, target: &mut [u32]) {
    let quad_bytes = 4 * rows.element.bytes();
    let quads = (0..rows.count).flat_map(|row| {
        let bytes = rows.bytes.get(row * rows.step..).unwrap_or_default();
        bytes.chunks_exact(quad_bytes).take(rows.quads)
    });
    let mut words = target.iter_mut().step_by(STRIDE);
    for quad in quads {
        for (value, word) in steps(rows.element, quad).into_iter().zip(words.by_ref()) {
            *word = value;
        }
    }
}

/// Four codes as the inputs of two steps.
fn steps(element: Element, quad: &[u8]) -> [u32; 2] {
    let word = |index: usize| quad.as_chunks().0.get(index).map_or(0, |bytes| u32::from_le_bytes(*bytes));
    let (a, b) = (word(0), word(1));
    match element {
        Element::I16 => [a & 0xffff | b << 16, a >> 16 | b & 0xffff_0000],
        _ => [a, a.rotate_right(8)].map(|word| extend(word, element == Element::I8)),
    }
}

/// Twin of the depthwise loop.
pub(super) fn depthwise<const LINKS: u64>(taps: Taps<'_>) {
    let weight = |quad: usize, tap: usize, channel: usize| {
        let place = ((quad * taps.kernel_h * taps.kernel_w) + tap) * 4 + [0, 2, 1, 3][channel];
        taps.weights.as_chunks().0.get(place).map_or(0, |code| i32::from(i16::from_le_bytes(*code)))
    };
    let input = |at: usize| {
        let byte = taps.input.get(at).copied().unwrap_or(0);
        if taps.signed { i32::from(byte.cast_signed()) } else { byte.into() }
    };
    for (channel, bias) in taps.bias.as_chunks().0.iter().enumerate().take(4 * taps.quads()) {
        let mut acc = i32::from_le_bytes(*bias);
        for row in 0..taps.rows {
            for column in 0..taps.columns {
                let x = input(row * taps.row_step + column * taps.column_step + channel);
                acc = acc.wrapping_add(x * weight(channel / 4, row * taps.kernel_w + column, channel % 4));
            }
        }
        if taps.end == End::Accumulators {
            put(taps.output, 4 * channel, &acc.to_le_bytes());
        } else {
            let shift = taps.shifts.get(channel * taps.shift_step).copied().unwrap_or(0);
            let [code, ..] = saturated(acc >> shift.min(31), taps.end).to_le_bytes();
            put(taps.output, channel, &[code]);
        }
    }
}

/// Twin of the addition.
pub(super) fn add(sum: &Sum, a: &First<'_>, b: &[u8], output: &mut [u8], quads: usize) {
    let value = |byte: u8| if sum.signed { i32::from(byte.cast_signed()) } else { byte.into() };
    let factor = |half: u32| i32::from((half as u16).cast_signed());
    for (index, (b, output)) in b.iter().zip(output).enumerate().take(4 * quads) {
        let a = match a {
            First::InPlace => *output,
            First::Apart(a) => a.get(index).copied().unwrap_or(0),
        };
        let acc = value(a) * factor(sum.factors) + value(*b) * factor(sum.factors >> 16) + sum.rounding;
        let [code, ..] = saturated(acc >> (sum.right_shift & 31), sum.end).to_le_bytes();
        *output = code;
    }
}

/// Twin of the sum over pixels.
pub(super) fn sum_pixels(signed: bool, input: &[u8], pitch: usize, pixels: usize) -> [u32; 2] {
    let mut sums = [[0_u16; 2]; 2];
    for pixel in 0..pixels {
        let word =
            input.get(pixel * pitch..).and_then(|input| input.first_chunk()).map_or(0, |w| u32::from_le_bytes(*w));
        for (sums, word) in sums.iter_mut().zip([word, word.rotate_right(8)]) {
            let codes = extend(word, signed);
            for (sum, code) in sums.iter_mut().zip([codes as u16, (codes >> 16) as u16]) {
                *sum = sum.wrapping_add(code);
            }
        }
    }
    sums.map(|[low, high]| u32::from(low) | u32::from(high) << 16)
}
