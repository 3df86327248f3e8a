//! The loop over a tile in Rust: what the instructions do, word by word. Every build has it, since the instructions want their
//! weights aligned.

use super::CONV_COLUMNS;
use super::instructions::PaddedRun;
use super::tile::{End, Filters, Tile};
use crate::codes::Codes;
use crate::format::{Links, WeightBits};

/// Twin of the loops over a tile.
#[derive(Debug)]
pub(super) struct TileLoop<'a> {
    pub(super) filters: Filters<'a>,
    /// At most [`CONV_COLUMNS`].
    pub(super) pixels: usize,
    /// Bytes of the output from one pixel to the next.
    pub(super) pitch: usize,
}

impl<'a> TileLoop<'a> {
    #[cfg(not(stepshift_backend = "dsp"))]
    pub(super) const fn new<const LINKS: Links>(filters: Filters<'a>, pixels: usize, pitch: usize) -> Self {
        Self { filters, pixels, pitch }
    }

    /// Runs over a tile.
    #[inline(never)]
    pub(super) fn run<const LINKS: Links, const PIXELS: usize>(&mut self, tile: Tile<'_>) {
        let Self { filters, pitch, pixels } = self;
        let columns = tile.columns.chunks_exact((*pixels).max(1));
        multiply(filters, (*pixels, *pitch), columns, tile.output);
    }
}

/// Twin of the loops over codes where they lie.
#[inline(never)]
pub(super) fn dot<const LINKS: Links>(filters: &Filters<'_>, codes: Codes<'_>, output: &mut [u8]) {
    let run = PaddedRun { codes, before: 0, zero: 0 };
    let steps = 0..codes.len().next_multiple_of(4) / 2;
    let columns = steps.map(|step| [run.word::<LINKS>(step / 2 * 4 + step % 2)]);
    multiply(filters, (1, 0), columns, output);
}

/// Multiplies the inputs of every step by all pairs.
fn multiply(
    filters: &Filters<'_>,
    (pixels, pitch): (usize, usize),
    columns: impl Iterator<Item: AsRef<[u32]>> + Clone,
    output: &mut [u8],
) {
    let mut weights = Weights { bits: filters.bits, joined: filters.joined, bytes: filters.weights };
    for pair in 0..filters.pairs() {
        let bias =
            |channel: usize| filters.bias.as_chunks().0.get(2 * pair + channel).map_or(0, |b| i32::from_le_bytes(*b));
        let mut acc = weights.start([bias(0), bias(1)]).map(|acc| [acc; CONV_COLUMNS]);
        for (step, column) in columns.clone().enumerate() {
            let codes = weights.step(step % 2 == 0);
            let channels = if filters.single { 1 } else { 2 };
            for (acc, code) in acc.iter_mut().zip(codes).take(channels) {
                for (acc, x) in acc.iter_mut().zip(column.as_ref()) {
                    *acc = smlad(*x, code, *acc);
                }
            }
        }
        weights.part(&mut acc);
        for (channel, acc) in acc.iter().enumerate() {
            for (pixel, acc) in acc.iter().enumerate().take(pixels) {
                if filters.end == End::Accumulators {
                    let at = 4 * (pixels * (2 * pair + channel) + pixel);
                    put(output, at, &(acc >> weights.scaled_by()).to_le_bytes());
                    continue;
                }
                let scaled = filters.scale.apply(2 * pair + channel, *acc, weights.scaled_by());
                let [code, ..] = saturated(scaled, filters.end).to_le_bytes();
                put(output, pixel * pitch + 2 * pair + channel, &[code]);
            }
        }
    }
}

pub(super) fn put(output: &mut [u8], at: usize, bytes: &[u8]) {
    if let Some(target) = output.get_mut(at..).and_then(|output| output.get_mut(..bytes.len())) {
        target.copy_from_slice(bytes);
    }
}

pub(super) fn saturated(acc: i32, end: End) -> i32 {
    match end {
        End::Signed8 => acc.clamp(-128, 127),
        End::Unsigned7 => acc.clamp(0, 127),
        End::Unsigned8 => acc.clamp(0, 255),
        End::Accumulators => acc,
    }
}

/// `SMLAD`: both products of 16 bits, added.
pub(super) fn smlad(x: u32, w: u32, acc: i32) -> i32 {
    let halves = |word: u32| [word as u16, (word >> 16) as u16].map(|half| i32::from(half.cast_signed()));
    let ([x0, x1], [w0, w1]) = (halves(x), halves(w));
    acc.wrapping_add(x0 * w0).wrapping_add(x1 * w1)
}

/// `SXTB16` and `UXTB16`: bytes 0 and 2 of a word, 16 bits each.
pub(super) fn extend(word: u32, signed: bool) -> u32 {
    let extend = |byte: u8| if signed { i16::from(byte.cast_signed()).cast_unsigned() } else { byte.into() };
    let [a, _, b, _] = word.to_le_bytes();
    u32::from(extend(a)) | u32::from(extend(b)) << 16
}

/// Weights that were not used yet.
struct Weights<'a> {
    bits: WeightBits,
    joined: bool,
    bytes: &'a [u8],
}

impl Weights<'_> {
    const fn scaled_by(&self) -> u32 {
        if matches!(self.bits, WeightBits::Four) { 4 } else { 0 }
    }

    /// Accumulators that begin at the biases of a pair.
    const fn start(&self, [first, second]: [i32; 2]) -> [i32; 2] {
        if self.joined {
            [first, (second << 8).wrapping_add(first)]
        } else {
            [first << self.scaled_by(), second << self.scaled_by()]
        }
    }

    /// Takes the first channel's accumulators out of those that are joined to them.
    fn part(&self, acc: &mut [[i32; CONV_COLUMNS]; 2]) {
        let [first, second] = acc;
        for (second, first) in second.iter_mut().zip(first).filter(|_| self.joined) {
            *second = second.wrapping_sub(*first) >> 8;
        }
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
        [extend(word, true), if self.joined { word } else { extend(word.rotate_right(8), true) }]
    }
}
