//! Convolutions and fully connected layers: tiles of pixels by channels, straight from the image.

use std::vec::Vec;

use super::ending::{End, Ending, Ends, Tiles};
use super::filters::{BLOCK, Filters};
use super::image::{Image, ImageCode};
use super::layout::{self, Layout};
use super::tile::{self, BYTE_PIXELS, PIXELS, Stretches};
use super::vectors::{ByteVectors, ByteWork, Multiply, Vectors, Work};
use crate::format::{Conv2d, Shape};

/// What a layer's weights are made into: groups of `K` weights.
#[derive(Debug)]
pub(super) struct Convolution<W, const K: usize> {
    /// A part of a window is a stretch of codes that lie side by side.
    pub(super) layout: Layout,
    /// Filters of each group.
    groups: Vec<Filters<W, K>>,
    /// Input channels of a group.
    in_ch: usize,
    /// Output channels of a group.
    out_ch: usize,
    /// Groups of codes of each stretch.
    stretch_groups: usize,
}

impl<W: Copy + Default + TryFrom<i16>, const K: usize> Convolution<W, K> {
    /// Spec 4.1.
    ///
    /// tile   pixels of a tile
    /// codes  `[C_OUT, K_H, K_W, C_IN / groups]`
    pub(super) fn new((lanes, tile): (usize, usize), op: &Conv2d<'_>, codes: &[i16], in_ch: u16, out_ch: u16) -> Self {
        let groups = usize::from(op.groups).max(1);
        let (in_ch, out_ch) = (usize::from(in_ch) / groups, usize::from(out_ch) / groups);
        let (kernel_h, kernel_w) = (usize::from(op.window.kernel_h), usize::from(op.window.kernel_w));
        // Where neighbours lie side by side, a row of the kernel is one stretch.
        let (columns, len) =
            if groups == 1 && op.window.dilation_w == 1 { (1, kernel_w * in_ch) } else { (kernel_w, in_ch) };
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
            layout: Layout::new(layout::taps(&op.window, columns).collect(), tile),
            groups: (0..groups).map(group).collect(),
            in_ch,
            out_ch,
            stretch_groups: steps,
        }
    }

    /// A fully connected layer is a convolution of one pixel. Spec 4.3.
    ///
    /// codes  `[C_OUT, C_IN]`
    pub(super) fn of_fully_connected(lanes: usize, codes: &[i16], input: Shape, out_ch: usize) -> Self {
        let in_len = input.len();
        let steps = in_len.div_ceil(K);
        let filters = Filters::new(lanes, out_ch, steps, |oc, step| {
            let codes = codes.get(oc * in_len + K * step..).unwrap_or_default();
            weights(codes.get(..in_len - K * step).unwrap_or(codes))
        });
        Self { layout: Layout::whole(input), groups: std::vec![filters], in_ch: in_len, out_ch, stretch_groups: steps }
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
        if self.convolution.layout.pixels() == 1 {
            self.pixels::<V, L, 1>(vectors);
        } else {
            self.pixels::<V, L, P>(vectors);
        }
    }

    #[inline(always)]
    fn pixels<V: Multiply<L, K, X, W>, const L: usize, const P: usize>(&mut self, vectors: V) {
        let count = self.convolution.out_ch.div_ceil(L);
        for group in 0..self.convolution.groups.len() {
            for vector in (0..count).step_by(BLOCK) {
                if tile::width(count, vector) == BLOCK {
                    self.block::<V, L, BLOCK, P>(vectors, group, vector);
                } else {
                    self.block::<V, L, 1, P>(vectors, group, vector);
                }
            }
        }
    }

    /// `N` vectors of a group's channels, of every pixel.
    #[inline(always)]
    fn block<V: Multiply<L, K, X, W>, const L: usize, const N: usize, const P: usize>(
        &mut self,
        vectors: V,
        group: usize,
        vector: usize,
    ) {
        let Convolution { layout, groups, in_ch, out_ch, stretch_groups } = self.convolution;
        let Some(filters) = groups.get(group) else { return };
        let block = Block {
            places: layout.tiles::<P>(),
            codes: self.image.codes().get(group * in_ch..).unwrap_or_default(),
            stretches: Stretches { starts: layout.starts(), groups: *stretch_groups },
            filters: filters.block::<L>(vector),
            output: self.output,
        };
        // Channels of the group behind this one are not ours to write.
        let channels = (group * out_ch + vector * L, (group + 1) * out_ch);
        self.ending.run::<V, _, L, N>(vectors, group * out_ch.div_ceil(L) + vector, channels, block);
    }
}

/// Some vectors of channels of every pixel.
struct Block<'a, X, W, const K: usize, const P: usize> {
    /// Where the windows begin, a tile at a time.
    places: &'a [[usize; P]],
    codes: &'a [X],
    stretches: Stretches<'a>,
    filters: &'a [[W; K]],
    output: &'a mut [u8],
}

impl<V, X, W, const L: usize, const N: usize, const K: usize, const P: usize> Tiles<V, L, N> for Block<'_, X, W, K, P>
where
    V: Multiply<L, K, X, W>,
    X: Copy,
{
    #[inline(always)]
    fn run<E: End<V, L>>(self, vectors: V, ends: &Ends<'_, V::Sums, E, N>) {
        for (places, output) in self.places.iter().zip(self.output.chunks_mut(P * ends.pixel_bytes())) {
            let (codes, places, bias) = (self.codes, *places, ends.bias);
            let sums =
                tile::multiply::<V, X, W, L, N, P, K>(vectors, codes, places, self.stretches, self.filters, bias);
            ends.write(vectors, sums, output);
        }
    }
}
