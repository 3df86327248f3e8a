//! Convolutions of 3x3 with a stride of 1 by Winograd's F(2x2, 3x3): 16 products instead of 36 for four pixels. A. Lavin,
//! S. Gray, Fast Algorithms for Convolutional Neural Networks, 2016, section 4.1.
//!
//! It is exact: the two halves in the transform of the filter are left out, and the sums without them doubled, so that the
//! output transform gives four times the sum of the direct form.

use std::vec::Vec;

use super::ending::Ending;
use super::filters::Filters;
use super::image::{Frame, Image};
use super::tile::{self, PIXELS, Stretches};
use super::vectors::{Vectors, Work};
use crate::format::{Conv2d, Element, Shape, TensorRecord, WeightBits, Window};

/// Places of a tile of the input.
const PLACES: usize = 16;

/// Codes that are transformed at a time.
const CODES: usize = 16;

/// Tiles whose transforms are held at a time: they and their products stay in the first cache.
const TILES: usize = 16;

/// Greatest number of input channels: four times an accumulator stays within 32 bits, 2^29 > 1024 * 9 * 127 * 255.
const GREATEST_CHANNELS: u16 = 1024;

/// A layer's filters, transformed: one matrix of channels by channels for each of the 16 places.
#[derive(Debug)]
pub(super) struct Winograd {
    places: Vec<Filters<i16, 2>>,
    in_ch: usize,
}

impl Winograd {
    /// Of a layer for which it is exact and worth while.
    ///
    /// codes  `[C_OUT, 3, 3, C_IN]`
    pub(super) fn new(
        lanes: usize,
        op: &Conv2d<'_>,
        codes: &[i16],
        input: &TensorRecord,
        output: Shape,
    ) -> Option<Self> {
        let (shape, element) = (input.shape, input.element);
        let Window { kernel_h, kernel_w, stride_h, stride_w, .. } = op.window;
        let fits = (kernel_h, kernel_w, stride_h, stride_w, op.groups) == (3, 3, 1, 1, 1) && op.window.is_dense();
        let exact = element != Element::I16 && op.weights.bits != WeightBits::Sixteen && shape.c <= GREATEST_CHANNELS;
        let worth = usize::from(shape.c).is_multiple_of(CODES) && output.h > 1 && output.w > 1;
        if !(fits && exact && worth) {
            return None;
        }
        let (in_ch, out_ch) = (usize::from(shape.c), usize::from(output.c));
        let transformed: Vec<[i16; PLACES]> = (0..out_ch * in_ch)
            .map(|index| {
                let first = index / in_ch * 9 * in_ch + index % in_ch;
                filter(
                    [0, 1, 2]
                        .map(|ky| [0, 1, 2].map(|kx| codes.get(first + (3 * ky + kx) * in_ch).copied().unwrap_or(0))),
                )
            })
            .collect();
        let at = |oc: usize, ic: usize, place: usize| {
            transformed.get(oc * in_ch + ic).and_then(|places| places.get(place)).copied().unwrap_or(0)
        };
        let place = |place: usize| {
            Filters::new(lanes, out_ch, in_ch / 2, |oc, step| [at(oc, 2 * step, place), at(oc, 2 * step + 1, place)])
        };
        Some(Self { places: (0..PLACES).map(place).collect(), in_ch })
    }
}

/// `G g G^T` with twice the middle rows of `G`: at most `9 * 127`.
fn filter(g: [[i16; 3]; 3]) -> [i16; PLACES] {
    let along = |[a, b, c]: [i16; 3]| [a, a + b + c, a - b + c, c];
    let rows = g.map(along);
    let columns = [0, 1, 2, 3].map(|x| along(rows.map(|row| row[x])));
    core::array::from_fn(|place| columns[place % 4][place / 4])
}

/// `B^T d B`, in place: at most 1020 for codes of 8 bits.
#[inline(always)]
fn transform_input(d: &mut [[i16; CODES]; PLACES]) {
    for first in [0, 4, 8, 12] {
        input_axis(d, [first, first + 1, first + 2, first + 3]);
    }
    for first in [0, 1, 2, 3] {
        input_axis(d, [first, first + 4, first + 8, first + 12]);
    }
}

#[inline(always)]
#[expect(clippy::needless_range_loop, reason = "four vectors are read and written side by side")]
fn input_axis(d: &mut [[i16; CODES]; PLACES], places: [usize; 4]) {
    for i in 0..CODES {
        let [a, b, c, e] = [d[places[0]][i], d[places[1]][i], d[places[2]][i], d[places[3]][i]];
        d[places[0]][i] = a.wrapping_sub(c);
        d[places[1]][i] = b.wrapping_add(c);
        d[places[2]][i] = c.wrapping_sub(b);
        d[places[3]][i] = b.wrapping_sub(e);
    }
}

/// `A^T m A` with the outer rows of `m` doubled: four times the sums of four pixels, which are left at places 0, 1, 4, 5.
#[inline(always)]
fn transform_output<const L: usize>(m: &mut [[i32; L]; PLACES]) {
    for first in [0, 4, 8, 12] {
        output_axis(m, [first, first + 1, first + 2, first + 3]);
    }
    for first in [0, 1] {
        output_axis(m, [first, first + 4, first + 8, first + 12]);
    }
}

#[inline(always)]
#[expect(clippy::needless_range_loop, reason = "four vectors are read and written side by side")]
fn output_axis<const L: usize>(m: &mut [[i32; L]; PLACES], places: [usize; 4]) {
    for i in 0..L {
        let [a, b, c, d] = [m[places[0]][i], m[places[1]][i], m[places[2]][i], m[places[3]][i]];
        m[places[0]][i] = (a << 1).wrapping_add(b).wrapping_add(c);
        m[places[1]][i] = b.wrapping_sub(c).wrapping_sub(d << 1);
    }
}

/// What a run holds of a few tiles.
#[derive(Debug, Default)]
pub(super) struct Scratch {
    /// `[16, TILES, C_IN]`
    inputs: Vec<i16>,
    /// `[16, TILES, C_OUT]`, channels in whole vectors
    products: Vec<i32>,
}

/// A run of a layer.
pub(super) struct Run<'a> {
    pub(super) winograd: &'a Winograd,
    pub(super) ending: &'a Ending,
    pub(super) image: &'a Image<i16>,
    /// Of the image, which has what the next even number of rows and columns reads.
    pub(super) frame: &'a Frame,
    pub(super) scratch: &'a mut Scratch,
    /// Rows and columns of the output.
    pub(super) size: (usize, usize),
    /// `[H_OUT, W_OUT, C_OUT]`
    pub(super) output: &'a mut [u8],
}

impl Work for Run<'_> {
    #[inline(always)]
    fn run<V: Vectors<L>, const L: usize>(mut self, vectors: V) {
        let in_row = self.size.1.div_ceil(2);
        let all = self.size.0.div_ceil(2) * in_row;
        let out_ch = self.ending.channels().next_multiple_of(L);
        self.scratch.inputs.resize(PLACES * TILES * self.winograd.in_ch, 0);
        self.scratch.products.resize(PLACES * TILES * out_ch, 0);
        for first in (0..all).step_by(TILES) {
            let count = TILES.min(all - first);
            for tile in 0..count {
                let (ty, tx) = ((first + tile) / in_row, (first + tile) % in_row);
                self.transform(tile, 2 * ty, 2 * tx);
            }
            for place in 0..PLACES {
                self.multiply::<V, L>(vectors, place, count, out_ch);
            }
            for tile in 0..count {
                let (ty, tx) = ((first + tile) / in_row, (first + tile) % in_row);
                self.finish::<V, L>(vectors, tile, 2 * ty, 2 * tx, out_ch);
            }
        }
    }
}

impl Run<'_> {
    /// The transform of the four by four pixels from `y`, `x` on.
    #[inline(always)]
    fn transform(&mut self, tile: usize, y: usize, x: usize) {
        let in_ch = self.winograd.in_ch;
        for c in (0..in_ch).step_by(CODES) {
            let mut d = [[0; CODES]; PLACES];
            for (index, d) in d.iter_mut().enumerate() {
                let place = self.frame.place(y + index / 4, x + index % 4) + c;
                if let Some(codes) = self.image.codes().get(place..).and_then(|codes| codes.first_chunk()) {
                    *d = *codes;
                }
            }
            transform_input(&mut d);
            for (place, codes) in d.iter().enumerate() {
                let start = (place * TILES + tile) * in_ch + c;
                let target = self.scratch.inputs.get_mut(start..).and_then(|inputs| inputs.first_chunk_mut());
                if let Some(target) = target {
                    *target = *codes;
                }
            }
        }
    }

    /// The products of one place of some tiles.
    #[inline(always)]
    fn multiply<V: Vectors<L>, const L: usize>(&mut self, vectors: V, place: usize, count: usize, out_ch: usize) {
        for first in (0..count).step_by(PIXELS) {
            for vector in (0..out_ch / L).step_by(2) {
                if tile::width(out_ch / L, vector) == 2 {
                    self.tile::<V, L, 2>(vectors, place, first, vector, out_ch);
                } else {
                    self.tile::<V, L, 1>(vectors, place, first, vector, out_ch);
                }
            }
        }
    }

    #[inline(always)]
    fn tile<V: Vectors<L>, const L: usize, const N: usize>(
        &mut self,
        vectors: V,
        place: usize,
        first: usize,
        vector: usize,
        out_ch: usize,
    ) {
        let in_ch = self.winograd.in_ch;
        let Some(filters) = self.winograd.places.get(place) else { return };
        // Places behind the last tile hold an earlier one's codes.
        let start = (place * TILES + first) * in_ch;
        let places = [start, start + in_ch, start + 2 * in_ch, start + 3 * in_ch];
        let stretches = Stretches { starts: &[0], groups: in_ch / 2 };
        let zeros = [vectors.load(&[0; L]); N];
        let codes = &self.scratch.inputs;
        let sums = tile::multiply::<V, i16, i16, L, N, PIXELS, 2>(
            vectors,
            codes,
            places,
            stretches,
            filters.block::<L>(vector),
            zeros,
        );
        for (index, sums) in sums.iter().enumerate() {
            let start = (place * TILES + first + index) * out_ch + vector * L;
            let target = self.scratch.products.get_mut(start..).unwrap_or_default().as_chunks_mut::<L>().0;
            for (target, sums) in target.iter_mut().zip(sums) {
                *target = vectors.store(*sums);
            }
        }
    }

    /// The codes of the two by two pixels from `y`, `x` on, as many as there are.
    #[inline(always)]
    fn finish<V: Vectors<L>, const L: usize>(&mut self, vectors: V, tile: usize, y: usize, x: usize, out_ch: usize) {
        let channels = self.ending.channels();
        for channel in (0..out_ch).step_by(L) {
            let mut m = [[0; L]; PLACES];
            for (place, m) in m.iter_mut().enumerate() {
                let start = (place * TILES + tile) * out_ch + channel;
                let products = self.scratch.products.get(start..).and_then(|products| products.first_chunk());
                if let Some(products) = products {
                    *m = *products;
                }
            }
            transform_output(&mut m);
            let bias: &[i32; L] = self.ending.bias(channel / L);
            for (row, column) in [(0, 0), (0, 1), (1, 0), (1, 1)] {
                let mut sums = m[4 * row + column];
                for (sum, bias) in sums.iter_mut().zip(bias) {
                    *sum = (*sum >> 2).wrapping_add(*bias);
                }
                if y + row < self.size.0 && x + column < self.size.1 {
                    let pixel = (y + row) * self.size.1 + x + column;
                    let output = self.output.get_mut(pixel * self.ending.pixel_bytes()..).unwrap_or_default();
                    self.ending.write(vectors, vectors.load(&sums), channel / L, (channel, channels), output);
                }
            }
        }
    }
}
