//! Depthwise convolutions: channels side by side.

use std::vec::Vec;

use super::ending::Ending;
use super::image::Image;
use super::layout::{self, Layout};
use super::vectors::{Vectors, Work};
use crate::format::DepthwiseConv2d;

/// What a layer's weights are made into.
#[derive(Debug)]
pub(super) struct Depthwise {
    /// A part of a window is a tap.
    pub(super) layout: Layout,
    /// `[K_H * K_W, C]`, then zeros.
    codes: Vec<i16>,
}

impl Depthwise {
    /// A layer of one output channel for each of the input. Spec 4.2.
    ///
    /// codes  `[K_H * K_W, C]`
    pub(super) fn new(op: &DepthwiseConv2d<'_>, codes: &[i16]) -> Self {
        let mut codes = codes.to_vec();
        codes.resize(codes.len() + 16, 0);
        let taps = layout::taps(&op.window, op.window.kernel_w.into());
        Self { layout: Layout::new(taps.collect(), 1), codes }
    }
}

/// A run of a layer.
pub(super) struct Run<'a> {
    pub(super) depthwise: &'a Depthwise,
    pub(super) ending: &'a Ending,
    pub(super) image: &'a Image<i16>,
    /// `[H_OUT, W_OUT, C]`
    pub(super) output: &'a mut [u8],
}

impl Work for Run<'_> {
    #[inline(always)]
    fn run<V: Vectors<L>, const L: usize>(self, vectors: V) {
        let Depthwise { layout, codes } = self.depthwise;
        let channels = self.ending.channels().max(1);
        let pixels = self.output.chunks_exact_mut(self.ending.pixel_bytes().max(1));
        for ([first], pixel) in layout.tiles().iter().zip(pixels) {
            for channel in (0..channels).step_by(L) {
                let mut sums = *self.ending.bias::<L>(channel / L);
                for (tap, start) in layout.starts().iter().enumerate() {
                    let x = vector::<L>(self.image.codes(), first + start + channel);
                    let w = vector::<L>(codes, tap * channels + channel);
                    for ((sum, x), w) in sums.iter_mut().zip(x).zip(w) {
                        // Behind the last channel lie others' codes, whose sums are not written.
                        *sum = sum.wrapping_add(i32::from(x) * i32::from(w));
                    }
                }
                self.ending.write(vectors, vectors.load(&sums), channel / L, (channel, channels), pixel);
            }
        }
    }
}

/// `L` codes from one on.
#[inline(always)]
fn vector<const L: usize>(codes: &[i16], start: usize) -> [i16; L] {
    codes.get(start..).and_then(|codes| codes.first_chunk()).copied().unwrap_or([0; L])
}
