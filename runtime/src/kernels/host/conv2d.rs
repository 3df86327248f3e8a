//! Convolutions and fully connected layers: tiles of pixels by channels, straight from the image.

use std::vec::Vec;

use super::ending::Ending;
use super::filters::{self, Filters};
use super::image::{Image, ImageCode};
use super::tile::{self, BYTE_PIXELS, PIXELS, Stretches};
use super::vectors::{ByteWork, Multiply, Vectors, Work};
use crate::format::{Conv2d, FullyConnected, Shape, Window};

/// What a layer's weights are made into: groups of `K` weights.
#[derive(Debug)]
pub(super) struct Convolution<W, const K: usize> {
    window: Window,
    /// Filters of each group.
    groups: Vec<Filters<W, K>>,
    /// Input channels of a group.
    in_ch: usize,
    /// Where each stretch of codes under the window begins: row, column.
    stretches: Vec<(usize, usize)>,
    /// Groups of codes of each.
    stretch_groups: usize,
}

impl<W: Copy + Default + TryFrom<i16>, const K: usize> Convolution<W, K> {
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
        let steps = len.div_ceil(K);
        let filter_len = kernel_h * kernel_w * in_ch;
        let codes = filters::codes(&op.weights, filter_len * usize::from(output.c));
        let group = |group: usize| {
            Filters::new(lanes, out_ch, kernel_h * columns * steps, |oc, step| {
                let first = (group * out_ch + oc) * filter_len + step / steps * len;
                let start = step % steps * K;
                let codes = codes.get(first + start..).unwrap_or_default();
                weights(codes.get(..len - start).unwrap_or(codes))
            })
        };
        Self {
            window: op.window,
            groups: (0..groups).map(group).collect(),
            in_ch,
            stretches: stretches.collect(),
            stretch_groups: steps,
        }
    }

    /// A fully connected layer is a convolution of one pixel. Spec 4.3.
    pub(super) fn of_fully_connected(lanes: usize, op: &FullyConnected<'_>, in_len: usize, out_ch: usize) -> Self {
        let codes = filters::codes(&op.weights, in_len * out_ch);
        let steps = in_len.div_ceil(K);
        let filters = Filters::new(lanes, out_ch, steps, |oc, step| {
            let codes = codes.get(oc * in_len + K * step..).unwrap_or_default();
            weights(codes.get(..in_len - K * step).unwrap_or(codes))
        });
        let groups = std::vec![filters];
        Self { window: Window::new(1, 1), groups, in_ch: in_len, stretches: std::vec![(0, 0)], stretch_groups: steps }
    }
}

/// The next weights of a channel; zeros behind the last one.
fn weights<W: Copy + Default + TryFrom<i16>, const K: usize>(codes: &[i16]) -> [W; K] {
    let mut group = [W::default(); K];
    for (weight, code) in group.iter_mut().zip(codes) {
        *weight = W::try_from(*code).unwrap_or_default();
    }
    group
}

/// A run of a convolution.
pub(super) struct Run<'a, X, W, const K: usize> {
    pub(super) convolution: &'a Convolution<W, K>,
    pub(super) ending: &'a Ending,
    pub(super) image: &'a Image<X>,
    /// Rows and columns of the output.
    pub(super) size: (usize, usize),
    /// `[H_OUT, W_OUT, C_OUT]`
    pub(super) output: &'a mut [u8],
}

impl Work for Run<'_, i16, i16, 2> {
    #[inline(always)]
    fn run<V: Vectors<L>, const L: usize>(self, vectors: V) {
        self.by::<V, L, PIXELS>(vectors);
    }
}

impl ByteWork for Run<'_, u8, i8, 4> {
    #[inline(always)]
    fn run<V: Multiply<L, 4, u8, i8>, const L: usize>(self, vectors: V) {
        self.by::<V, L, BYTE_PIXELS>(vectors);
    }
}

impl<X: ImageCode, W: Copy + Default, const K: usize> Run<'_, X, W, K> {
    /// All pixels, `P` at a time.
    #[inline(always)]
    fn by<V: Multiply<L, K, X, W>, const L: usize, const P: usize>(mut self, vectors: V) {
        let starts = self.convolution.stretches.iter().map(|(row, column)| self.image.place(*row, *column));
        let starts: Vec<usize> = starts.collect();
        let stretches = Stretches { starts: &starts, groups: self.convolution.stretch_groups };
        let pixels = self.size.0 * self.size.1;
        if pixels == 1 {
            return self.pixels::<V, L, 1>(vectors, stretches, 0);
        }
        for first in (0..pixels).step_by(P) {
            self.pixels::<V, L, P>(vectors, stretches, first);
        }
    }

    /// All channels of some pixels; behind the last one it stands again.
    #[inline(always)]
    fn pixels<V: Multiply<L, K, X, W>, const L: usize, const P: usize>(
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
    fn tile<V: Multiply<L, K, X, W>, const L: usize, const N: usize, const P: usize>(
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
        let sums =
            tile::multiply::<V, X, W, L, N, P, K>(vectors, codes, places, stretches, filters.block::<L>(vector), bias);
        let pixel_bytes = self.ending.channels() * self.ending.code_bytes();
        for (pixel, sums) in sums.iter().enumerate() {
            let start = (first + pixel) * pixel_bytes;
            // Channels of the group behind this one are not ours to write.
            let end = start + group_end * self.ending.code_bytes();
            let Some(pixel) = self.output.get_mut(start..end) else { return };
            for (index, sums) in sums.iter().enumerate() {
                self.ending.write(vectors.store(*sums), channel + index * L, pixel);
            }
        }
    }
}
