//! Depthwise convolutions by instructions that multiply bytes: taps in fours, channels side by side.

use std::vec::Vec;

use super::ending::{End, Ending, Ends, Tiles};
use super::image::Image;
use super::layout::{self, Layout};
use super::vectors::{ByteVectors, ByteWork};
use crate::format::DepthwiseConv2d;

/// Taps whose products one instruction sums.
const FOUR: usize = 4;

/// Vectors of channels of a block: a register of bytes.
const VECTORS: usize = 4;

/// Pixels of a tile: with [`VECTORS`] vectors each they fill half of the registers.
const PIXELS: usize = 4;

/// What a layer's weights are made into.
#[derive(Debug)]
pub(super) struct ByteDepthwise {
    /// A part of a window is a tap: in whole fours, those behind the last one anywhere.
    pub(super) layout: Layout,
    /// `[taps in whole fours, channels in whole blocks]`, zeros where there are none.
    weights: Vec<u8>,
    /// Bytes of a tap's weights.
    tap_len: usize,
}

impl ByteDepthwise {
    /// A layer of one output channel for each of the input. Spec 4.2.
    ///
    /// codes  `[K_H * K_W, C]` of 8 bits
    pub(super) fn new(lanes: usize, op: &DepthwiseConv2d<'_>, codes: &[i16], channels: usize) -> Self {
        let mut taps: Vec<_> = layout::taps(&op.window, op.window.kernel_w.into()).collect();
        taps.resize(taps.len().next_multiple_of(FOUR), (0, 0));
        let tap_len = channels.next_multiple_of(VECTORS * lanes);
        let mut weights = std::vec![0; taps.len() * tap_len];
        for (tap, codes) in weights.chunks_mut(tap_len.max(1)).zip(codes.chunks(channels.max(1))) {
            tap.iter_mut().zip(codes).for_each(|(weight, code)| *weight = code.to_le_bytes()[0]);
        }
        Self { layout: Layout::new(taps, PIXELS), weights, tap_len }
    }
}

/// A run of a layer.
pub(super) struct Run<'a> {
    pub(super) depthwise: &'a ByteDepthwise,
    pub(super) ending: &'a Ending,
    pub(super) image: &'a Image<u8>,
    /// `[H_OUT, W_OUT, C]`
    pub(super) output: &'a mut [u8],
}

impl ByteWork for Run<'_> {
    #[inline(always)]
    fn run<V: ByteVectors<L>, const L: usize>(self, vectors: V) {
        let ByteDepthwise { layout, weights, tap_len } = self.depthwise;
        let (channels, taps) = (self.ending.channels(), layout.starts().as_chunks().0);
        for channel in (0..channels).step_by(VECTORS * L) {
            let mut block = Vec::with_capacity(taps.len());
            for four in 0..taps.len() {
                let start = four * FOUR * tap_len + channel;
                let Some(rows) = rows(vectors, weights, [0, 1, 2, 3].map(|tap| start + tap * tap_len)) else { return };
                block.push(rows);
            }
            let block = Block {
                places: layout.tiles(),
                codes: self.image.codes().get(channel..).unwrap_or_default(),
                taps,
                weights: &block,
                output: self.output,
            };
            self.ending.run(vectors, channel / L, (channel, channels), block);
        }
    }
}

/// A block of channels of every pixel.
struct Block<'a, S> {
    /// Where the windows begin, a tile at a time.
    places: &'a [[usize; PIXELS]],
    codes: &'a [u8],
    taps: &'a [[usize; FOUR]],
    /// Of each four taps.
    weights: &'a [[S; VECTORS]],
    output: &'a mut [u8],
}

impl<V: ByteVectors<L>, const L: usize> Tiles<V, L, VECTORS> for Block<'_, V::Sums> {
    #[inline(always)]
    fn run<E: End<V, L>>(self, vectors: V, ends: &Ends<'_, V::Sums, E, VECTORS>) {
        // The order of two dimensions, exchanged twice, is what it was.
        let starts = vectors.in_order(ends.bias);
        for (places, output) in self.places.iter().zip(self.output.chunks_mut(PIXELS * ends.pixel_bytes())) {
            let taps = (self.taps, self.weights);
            let Some(tile) = pixels(vectors, self.codes, taps, *places, starts) else { return };
            ends.write(vectors, tile, output);
        }
    }
}

/// The accumulators of a block of channels of the pixels whose windows begin at `places`.
///
/// starts  what they start from, in the order of [`ByteVectors::interleave`]
#[inline(always)]
fn pixels<V: ByteVectors<L>, const L: usize>(
    vectors: V,
    codes: &[u8],
    taps: (&[[usize; FOUR]], &[[V::Sums; VECTORS]]),
    [a, b, c, d]: [usize; PIXELS],
    starts: [V::Sums; VECTORS],
) -> Option<[[V::Sums; VECTORS]; PIXELS]> {
    Some([
        pixel(vectors, codes, taps, a, starts)?,
        pixel(vectors, codes, taps, b, starts)?,
        pixel(vectors, codes, taps, c, starts)?,
        pixel(vectors, codes, taps, d, starts)?,
    ])
}

/// As [`pixels`], of one.
#[inline(always)]
fn pixel<V: ByteVectors<L>, const L: usize>(
    vectors: V,
    codes: &[u8],
    (taps, weights): (&[[usize; FOUR]], &[[V::Sums; VECTORS]]),
    place: usize,
    starts: [V::Sums; VECTORS],
) -> Option<[V::Sums; VECTORS]> {
    let mut sums = starts;
    for (taps, weights) in taps.iter().zip(weights) {
        let [a, b, c, d] = *taps;
        let codes = rows(vectors, codes, [place + a, place + b, place + c, place + d])?;
        for vector in 0..VECTORS {
            sums[vector] = vectors.multiply_add_each(sums[vector], codes[vector], weights[vector]);
        }
    }
    Some(vectors.in_order(sums))
}

/// A block of channels of four taps, interleaved.
#[inline(always)]
fn rows<V: ByteVectors<L>, const L: usize>(
    vectors: V,
    codes: &[u8],
    [a, b, c, d]: [usize; FOUR],
) -> Option<[V::Sums; VECTORS]> {
    Some(vectors.interleave([row(codes, a)?, row(codes, b)?, row(codes, c)?, row(codes, d)?]))
}

/// A block of channels of a tap.
#[inline(always)]
fn row<const L: usize>(codes: &[u8], start: usize) -> Option<&[[u8; L]; VECTORS]> {
    codes.get(start..)?.as_chunks().0.first_chunk()
}
