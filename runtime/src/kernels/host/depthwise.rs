//! Depthwise convolutions: channels side by side.

use std::vec::Vec;

use super::ending::Ending;
use super::image::{Frame, Image};
use super::vectors::{Vectors, Work};
use crate::format::{DepthwiseConv2d, Window};

/// What a layer's weights are made into.
#[derive(Debug)]
pub(super) struct Depthwise {
    window: Window,
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
        Self { window: op.window, codes }
    }
}

/// A run of a layer.
pub(super) struct Run<'a> {
    pub(super) depthwise: &'a Depthwise,
    pub(super) ending: &'a Ending,
    pub(super) image: &'a Image<i16>,
    pub(super) frame: &'a Frame,
    /// Rows and columns of the output.
    pub(super) size: (usize, usize),
    /// `[H_OUT, W_OUT, C]`
    pub(super) output: &'a mut [u8],
}

impl Work for Run<'_> {
    #[inline(always)]
    fn run<V: Vectors<L>, const L: usize>(self, vectors: V) {
        let Window { kernel_h, kernel_w, stride_h, stride_w, dilation_h, dilation_w, .. } = self.depthwise.window;
        let channels = self.ending.channels().max(1);
        let taps: Vec<usize> = (0..usize::from(kernel_h))
            .flat_map(|ky| (0..usize::from(kernel_w)).map(move |kx| (ky, kx)))
            .map(|(ky, kx)| self.frame.place(ky * usize::from(dilation_h), kx * usize::from(dilation_w)))
            .collect();
        let pixels = self.output.chunks_exact_mut(self.ending.pixel_bytes().max(1));
        for (index, pixel) in pixels.take(self.size.0 * self.size.1).enumerate() {
            let (oy, ox) = (index / self.size.1.max(1), index % self.size.1.max(1));
            let first = self.frame.place(oy * usize::from(stride_h), ox * usize::from(stride_w));
            for channel in (0..channels).step_by(L) {
                let mut sums = *self.ending.bias::<L>(channel / L);
                for (tap, start) in taps.iter().enumerate() {
                    let x = vector::<L>(self.image.codes(), first + start + channel);
                    let w = vector::<L>(&self.depthwise.codes, tap * channels + channel);
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
