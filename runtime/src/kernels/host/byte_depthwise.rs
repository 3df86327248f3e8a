//! Depthwise convolutions by instructions that multiply bytes: taps in fours, channels side by side.

use std::vec::Vec;

use super::conv2d::Walk;
use super::ending::Ending;
use super::image::Image;
use super::tile;
use super::vectors::{ByteVectors, ByteWork};
use crate::format::{DepthwiseConv2d, Window};

/// Taps whose products one instruction sums.
const FOUR: usize = 4;

/// Vectors of channels of a block: a register of bytes.
const VECTORS: usize = 4;

/// Pixels of a tile: with [`VECTORS`] vectors each they fill half of the registers.
const PIXELS: usize = 4;

/// What a layer's weights are made into.
#[derive(Debug)]
pub(super) struct ByteDepthwise {
    window: Window,
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
        let tap_len = channels.next_multiple_of(VECTORS * lanes);
        let mut weights = std::vec![0; op.window.taps().next_multiple_of(FOUR) * tap_len];
        for (tap, codes) in weights.chunks_mut(tap_len.max(1)).zip(codes.chunks(channels.max(1))) {
            tap.iter_mut().zip(codes).for_each(|(weight, code)| *weight = code.to_le_bytes()[0]);
        }
        Self { window: op.window, weights, tap_len }
    }
}

/// A run of a layer.
pub(super) struct Run<'a> {
    pub(super) depthwise: &'a ByteDepthwise,
    pub(super) ending: &'a Ending,
    pub(super) image: &'a Image<u8>,
    /// Rows and columns of the output.
    pub(super) size: (usize, usize),
    /// `[H_OUT, W_OUT, C]`
    pub(super) output: &'a mut [u8],
}

impl ByteWork for Run<'_> {
    #[inline(always)]
    fn run<V: ByteVectors<L>, const L: usize>(mut self, vectors: V) {
        let mut taps = self.taps();
        // Those behind the last one have weights of 0.
        taps.resize(taps.len().next_multiple_of(FOUR), 0);
        for channel in (0..self.ending.channels()).step_by(VECTORS * L) {
            let mut weights = Vec::with_capacity(taps.len() / FOUR);
            for four in 0..taps.len() / FOUR {
                let starts = core::array::from_fn(|tap| (four * FOUR + tap) * self.depthwise.tap_len + channel);
                let Some(rows) = rows(vectors, &self.depthwise.weights, starts) else { return };
                weights.push(rows);
            }
            self.block(vectors, taps.as_chunks().0, &weights, channel);
        }
    }
}

impl Run<'_> {
    /// Where each tap lies, counted from the pixel's first code.
    fn taps(&self) -> Vec<usize> {
        let Window { kernel_h, kernel_w, dilation_h, dilation_w, .. } = self.depthwise.window;
        (0..usize::from(kernel_h))
            .flat_map(|ky| (0..usize::from(kernel_w)).map(move |kx| (ky, kx)))
            .map(|(ky, kx)| self.image.place(ky * usize::from(dilation_h), kx * usize::from(dilation_w)))
            .collect()
    }

    /// A block of channels of every pixel.
    ///
    /// weights  of each four taps
    #[inline(always)]
    fn block<V: ByteVectors<L>, const L: usize>(
        &mut self,
        vectors: V,
        taps: &[[usize; FOUR]],
        weights: &[[V::Sums; VECTORS]],
        channel: usize,
    ) {
        let mut walk = Walk::new(self.size, &self.depthwise.window, self.image);
        let first_vector = channel / L;
        // The order of two dimensions, exchanged twice, is what it was.
        let starts = vectors.in_order([
            vectors.load(&self.ending.bias(first_vector)),
            vectors.load(&self.ending.bias(first_vector + 1)),
            vectors.load(&self.ending.bias(first_vector + 2)),
            vectors.load(&self.ending.bias(first_vector + 3)),
        ]);
        for first in (0..self.size.0 * self.size.1).step_by(PIXELS) {
            let mut places = [0; PIXELS];
            for place in &mut places {
                *place = walk.next_place() + channel;
            }
            let Some(tile) = pixels(vectors, self.image.codes(), (taps, weights), places, starts) else { return };
            let output = self.output.get_mut(first * self.ending.pixel_bytes()..).unwrap_or_default();
            let channels = self.ending.channels();
            self.ending.write(vectors, tile::column(&tile, 0), first_vector, (channel, channels), output);
            self.ending.write(vectors, tile::column(&tile, 1), first_vector + 1, (channel + L, channels), output);
            self.ending.write(vectors, tile::column(&tile, 2), first_vector + 2, (channel + 2 * L, channels), output);
            self.ending.write(vectors, tile::column(&tile, 3), first_vector + 3, (channel + 3 * L, channels), output);
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
