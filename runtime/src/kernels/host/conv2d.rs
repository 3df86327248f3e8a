//! Convolutions and fully connected layers: tiles of pixels by channels, straight from the image.

use std::vec::Vec;

use super::ending::Ending;
use super::filters::{self, Filters};
use super::image::Image;
use super::tile::{self, PIXELS, Stretches};
use super::vectors::{Vectors, Work};
use crate::format::{Conv2d, FullyConnected, Shape, Window};

/// What a layer's weights are made into.
#[derive(Debug)]
pub(super) struct Convolution {
    window: Window,
    /// Filters of each group.
    groups: Vec<Filters>,
    /// Input channels of a group.
    in_ch: usize,
    /// Where each stretch of codes under the window begins: row, column.
    stretches: Vec<(usize, usize)>,
    pairs: usize,
}

impl Convolution {
    /// Spec 4.1.
    pub(super) fn new(lanes: usize, op: &Conv2d<'_>, input: Shape, output: Shape) -> Self {
        let groups = usize::from(op.groups).max(1);
        let in_ch = usize::from(input.c) / groups;
        let (kernel_h, kernel_w) = (usize::from(op.window.kernel_h), usize::from(op.window.kernel_w));
        let (dilation_h, dilation_w) = (usize::from(op.window.dilation_h), usize::from(op.window.dilation_w));
        // Where neighbours lie side by side, a row of the kernel is one stretch.
        let (columns, len) = if groups == 1 && dilation_w == 1 { (1, kernel_w * in_ch) } else { (kernel_w, in_ch) };
        let stretches = (0..kernel_h).flat_map(|ky| (0..columns).map(move |kx| (ky * dilation_h, kx * dilation_w)));
        let out_ch = usize::from(output.c) / groups;
        let pairs = len.div_ceil(2);
        let filter_len = kernel_h * kernel_w * in_ch;
        let codes = filters::codes(&op.weights, filter_len * usize::from(output.c));
        let group = |group: usize| {
            Filters::new(lanes, out_ch, kernel_h * columns * pairs, |oc, step| {
                let first = (group * out_ch + oc) * filter_len + step / pairs * len;
                let code = |index: usize| if index < len { codes.get(first + index).copied().unwrap_or(0) } else { 0 };
                [code(step % pairs * 2), code(step % pairs * 2 + 1)]
            })
        };
        Self {
            window: op.window,
            groups: (0..groups).map(group).collect(),
            in_ch,
            stretches: stretches.collect(),
            pairs,
        }
    }

    /// A fully connected layer is a convolution of one pixel. Spec 4.3.
    pub(super) fn of_fully_connected(lanes: usize, op: &FullyConnected<'_>, in_len: usize, out_ch: usize) -> Self {
        let codes = filters::codes(&op.weights, in_len * out_ch);
        let pairs = in_len.div_ceil(2);
        let filters = Filters::new(lanes, out_ch, pairs, |oc, step| {
            let code = |index: usize| {
                if index < in_len { codes.get(oc * in_len + index).copied().unwrap_or(0) } else { 0 }
            };
            [code(2 * step), code(2 * step + 1)]
        });
        let groups = std::vec![filters];
        Self { window: Window::new(1, 1), groups, in_ch: in_len, stretches: std::vec![(0, 0)], pairs }
    }
}

/// A run of a convolution.
pub(super) struct Run<'a> {
    pub(super) convolution: &'a Convolution,
    pub(super) ending: &'a Ending,
    pub(super) image: &'a Image,
    /// Rows and columns of the output.
    pub(super) size: (usize, usize),
    /// `[H_OUT, W_OUT, C_OUT]`
    pub(super) output: &'a mut [u8],
}

impl Work for Run<'_> {
    #[inline(always)]
    fn run<V: Vectors<L>, const L: usize>(mut self, vectors: V) {
        let starts = self.convolution.stretches.iter().map(|(row, column)| self.image.place(*row, *column));
        let starts: Vec<usize> = starts.collect();
        let stretches = Stretches { starts: &starts, pairs: self.convolution.pairs };
        let pixels = self.size.0 * self.size.1;
        if pixels == 1 {
            return self.pixels::<V, L, 1>(vectors, stretches, 0);
        }
        for first in (0..pixels).step_by(PIXELS) {
            self.pixels::<V, L, PIXELS>(vectors, stretches, first);
        }
    }
}

impl Run<'_> {
    /// All channels of some pixels; behind the last one it stands again.
    #[inline(always)]
    fn pixels<V: Vectors<L>, const L: usize, const P: usize>(
        &mut self,
        vectors: V,
        stretches: Stretches<'_>,
        first: usize,
    ) {
        let Window { stride_h, stride_w, .. } = self.convolution.window;
        let (h, w) = self.size;
        let mut places = [0; P];
        for (index, place) in places.iter_mut().enumerate() {
            let pixel = (first + index).min(h * w - 1);
            *place = self.image.place(pixel / w * usize::from(stride_h), pixel % w * usize::from(stride_w));
        }
        let out_ch = self.ending.channels() / self.convolution.groups.len().max(1);
        let count = out_ch.div_ceil(L);
        for group in 0..self.convolution.groups.len() {
            let mut places = places;
            places.iter_mut().for_each(|place| *place += group * self.convolution.in_ch);
            for vector in (0..count).step_by(2) {
                if tile::width(count, vector) == 2 {
                    self.tile::<V, L, 2, P>(vectors, stretches, places, (group, vector), first);
                } else {
                    self.tile::<V, L, 1, P>(vectors, stretches, places, (group, vector), first);
                }
            }
        }
    }

    #[inline(always)]
    fn tile<V: Vectors<L>, const L: usize, const N: usize, const P: usize>(
        &mut self,
        vectors: V,
        stretches: Stretches<'_>,
        places: [usize; P],
        (group, vector): (usize, usize),
        first: usize,
    ) {
        let Some(filters) = self.convolution.groups.get(group) else { return };
        let group_ch = self.ending.channels() / self.convolution.groups.len().max(1);
        let group_end = (group + 1) * group_ch;
        let channel = group * group_ch + vector * L;
        let mut bias = [vectors.load(&self.ending.bias(channel)); N];
        for (index, bias) in bias.iter_mut().enumerate().skip(1) {
            *bias = vectors.load(&self.ending.bias(channel + index * L));
        }
        let codes = self.image.codes();
        let sums = tile::multiply::<V, L, N, P>(vectors, codes, places, stretches, filters.block::<L>(vector), bias);
        let pixel_bytes = self.ending.channels() * self.ending.code_bytes();
        for (pixel, sums) in self.output.chunks_exact_mut(pixel_bytes.max(1)).skip(first).zip(sums) {
            // Channels of the group behind this one are not ours to write.
            let pixel = pixel.get_mut(..group_end * self.ending.code_bytes()).unwrap_or_default();
            for (index, sums) in sums.into_iter().enumerate() {
                self.ending.write(vectors.store(sums), channel + index * L, pixel);
            }
        }
    }
}
