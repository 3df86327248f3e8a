//! Convolutions and fully connected layers: tiles of pixels by channels, straight from the image.

use std::vec::Vec;

use super::ending::Ending;
use super::filters::{BLOCK, Filters};
use super::image::{Image, ImageCode};
use super::tile::{self, BYTE_PIXELS, PIXELS, Stretches};
use super::vectors::{ByteVectors, ByteWork, Multiply, Vectors, Work};
use crate::format::{Conv2d, Shape, Window};

/// What a layer's weights are made into: groups of `K` weights.
#[derive(Debug)]
pub(super) struct Convolution<W, const K: usize> {
    window: Window,
    /// Filters of each group.
    groups: Vec<Filters<W, K>>,
    /// Input channels of a group.
    in_ch: usize,
    /// Output channels of a group.
    out_ch: usize,
    /// Where each stretch of codes under the window begins: row, column.
    stretches: Vec<(usize, usize)>,
    /// Groups of codes of each.
    stretch_groups: usize,
}

impl<W: Copy + Default + TryFrom<i16>, const K: usize> Convolution<W, K> {
    /// Spec 4.1.
    ///
    /// codes  `[C_OUT, K_H, K_W, C_IN / groups]`
    pub(super) fn new(lanes: usize, op: &Conv2d<'_>, codes: &[i16], input: Shape, output: Shape) -> Self {
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
            out_ch,
            stretches: stretches.collect(),
            stretch_groups: steps,
        }
    }

    /// A fully connected layer is a convolution of one pixel. Spec 4.3.
    ///
    /// codes  `[C_OUT, C_IN]`
    pub(super) fn of_fully_connected(lanes: usize, codes: &[i16], in_len: usize, out_ch: usize) -> Self {
        let steps = in_len.div_ceil(K);
        let filters = Filters::new(lanes, out_ch, steps, |oc, step| {
            let codes = codes.get(oc * in_len + K * step..).unwrap_or_default();
            weights(codes.get(..in_len - K * step).unwrap_or(codes))
        });
        let groups = std::vec![filters];
        Self {
            window: Window::new(1, 1),
            groups,
            in_ch: in_len,
            out_ch,
            stretches: std::vec![(0, 0)],
            stretch_groups: steps,
        }
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

/// Where the windows of an output's pixels begin in an image, row by row; behind the last one it stands again.
#[derive(Debug, Clone, Copy)]
pub(super) struct Walk {
    /// Pixels of the row from the next one on.
    columns_left: usize,
    /// Rows behind that of the next pixel.
    rows_left: usize,
    columns: usize,
    place: usize,
    row: usize,
    step: usize,
    row_step: usize,
}

impl Walk {
    /// From the first pixel of `rows` by `columns` on.
    pub(super) fn new<X: ImageCode>((rows, columns): (usize, usize), window: &Window, image: &Image<X>) -> Self {
        let (row_step, step) = (image.place(window.stride_h.into(), 0), image.place(0, window.stride_w.into()));
        Self { columns_left: columns, rows_left: rows.saturating_sub(1), columns, place: 0, row: 0, step, row_step }
    }

    /// Index of the first code under the next pixel's window.
    #[inline(always)]
    pub(super) const fn next_place(&mut self) -> usize {
        let place = self.place;
        if self.columns_left > 1 {
            self.columns_left -= 1;
            self.place += self.step;
        } else if self.rows_left > 0 {
            self.rows_left -= 1;
            self.columns_left = self.columns;
            self.row += self.row_step;
            self.place = self.row;
        }
        place
    }
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
    fn run<V: ByteVectors<L>, const L: usize>(self, vectors: V) {
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
            return self.pixels::<V, L, 1>(vectors, stretches, [0], 0);
        }
        let mut walk = Walk::new(self.size, &self.convolution.window, self.image);
        for first in (0..pixels).step_by(P) {
            let mut places = [0; P];
            for place in &mut places {
                *place = walk.next_place();
            }
            self.pixels::<V, L, P>(vectors, stretches, places, first);
        }
    }

    /// All channels of some pixels, whose windows begin at `places`.
    #[inline(always)]
    fn pixels<V: Multiply<L, K, X, W>, const L: usize, const P: usize>(
        &mut self,
        vectors: V,
        stretches: Stretches<'_>,
        places: [usize; P],
        first: usize,
    ) {
        let count = self.convolution.out_ch.div_ceil(L);
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
        let out_ch = self.convolution.out_ch;
        let (channel, end) = (group * out_ch + vector * L, (group + 1) * out_ch);
        let first_vector = group * out_ch.div_ceil(L) + vector;
        let mut bias = [vectors.load(&self.ending.bias(first_vector)); N];
        for (index, bias) in bias.iter_mut().enumerate().skip(1) {
            *bias = vectors.load(&self.ending.bias(first_vector + index));
        }
        let codes = self.image.codes();
        let sums =
            tile::multiply::<V, X, W, L, N, P, K>(vectors, codes, places, stretches, filters.block::<L>(vector), bias);
        // Channels of the group behind this one are not ours to write.
        let output = self.output.get_mut(first * self.ending.pixel_bytes()..).unwrap_or_default();
        self.ending.write(vectors, tile::column(&sums, 0), first_vector, (channel, end), output);
        if N == BLOCK {
            self.ending.write(vectors, tile::column(&sums, 1), first_vector + 1, (channel + L, end), output);
        }
    }
}
