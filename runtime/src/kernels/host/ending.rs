//! From accumulators to codes, a vector at a time.

use core::array::from_fn;
use std::vec::Vec;

use super::factor::{Factor, Scale};
use super::vectors::Registers;
use crate::arithmetic::{Requantizer, saturate};
use crate::format::{ALL_LINKS, Activation, Element, Weights};

/// Rows of a vector's table: where its accumulators start, and the fields of [`Factor`], of which `start` takes two.
const ROWS: usize = 6;

/// Vectors whose codes become bytes together.
const FOUR: usize = 4;

/// What brings the accumulators of a vector of channels to codes, before the saturate.
pub(super) trait End<V, const L: usize>
where
    V: Registers<L>,
{
    fn codes(&self, vectors: V, sums: V::Sums) -> V::Sums;
}

/// Right shifts.
#[derive(Clone, Copy)]
struct Shifts<S>(S);

impl<S> Shifts<S> {
    #[inline(always)]
    fn new<V: Registers<L, Sums = S>, const L: usize>(vectors: V, table: &[[i32; L]; ROWS]) -> Self {
        Self(vectors.load(&table[2]))
    }
}

impl<V: Registers<L>, const L: usize> End<V, L> for Shifts<V::Sums> {
    #[inline(always)]
    fn codes(&self, vectors: V, sums: V::Sums) -> V::Sums {
        vectors.shift_right(sums, self.0)
    }
}

/// A [`Factor`] for each channel, where rectified.
#[derive(Clone, Copy)]
struct Rectified<S> {
    multipliers: S,
    /// Of even channels and of odd ones.
    starts: [S; 2],
    right_shifts: S,
}

impl<S> Rectified<S> {
    #[inline(always)]
    fn new<V: Registers<L, Sums = S>, const L: usize>(vectors: V, table: &[[i32; L]; ROWS]) -> Self {
        let [_, multipliers, right_shifts, _, even, odd] = table;
        Self {
            multipliers: vectors.load(multipliers),
            starts: [vectors.load(even), vectors.load(odd)],
            right_shifts: vectors.load(right_shifts),
        }
    }
}

impl<V: Registers<L>, const L: usize> End<V, L> for Rectified<V::Sums> {
    #[inline(always)]
    fn codes(&self, vectors: V, sums: V::Sums) -> V::Sums {
        vectors.shift_right(vectors.multiply_high(sums, self.multipliers, self.starts), self.right_shifts)
    }
}

/// A [`Factor`] for each channel.
#[derive(Clone, Copy)]
struct Factors<S> {
    /// All but `away`.
    rectified: Rectified<S>,
    away: S,
}

impl<S> Factors<S> {
    #[inline(always)]
    fn new<V: Registers<L, Sums = S>, const L: usize>(vectors: V, table: &[[i32; L]; ROWS]) -> Self {
        Self { rectified: Rectified::new(vectors, table), away: vectors.load(&table[3]) }
    }
}

impl<V: Registers<L>, const L: usize> End<V, L> for Factors<V::Sums> {
    #[inline(always)]
    fn codes(&self, vectors: V, sums: V::Sums) -> V::Sums {
        let Rectified { multipliers, starts, right_shifts } = self.rectified;
        let high = vectors.multiply_high(vectors.double(sums), multipliers, starts);
        vectors.shift_right(vectors.add_below_zero(high, sums, self.away), right_shifts)
    }
}

/// The ends that no vector has, from a channel on.
#[derive(Clone, Copy)]
struct Slow<'a>(&'a [Requantizer], Activation);

impl<V: Registers<L>, const L: usize> End<V, L> for Slow<'_> {
    #[inline(never)]
    fn codes(&self, vectors: V, sums: V::Sums) -> V::Sums {
        let mut codes = vectors.store(sums);
        for (code, requantizer) in codes.iter_mut().zip(self.0) {
            *code = requantizer.apply::<ALL_LINKS>(*code, self.1);
        }
        vectors.load(&codes)
    }
}

/// What the accumulators of a layer start from and end in.
#[derive(Debug)]
pub(super) struct Ending {
    /// `[vectors of channels, ROWS, lanes]`, zeros where there are no channels.
    tables: Vec<i32>,
    scale: Scale,
    requantizers: Vec<Requantizer>,
    activation: Activation,
    element: Element,
}

impl Ending {
    /// Of a layer that reads one element and writes another, for vectors of `lanes` channels. Each group begins with a vector.
    ///
    /// filters  the weights of each channel
    /// offset   what the codes that the kernel reads are more than they stand for: the accumulators start as many times the
    ///          channel's weights lower
    pub(super) fn new<'a, F: Iterator<Item = &'a i16>>(
        (lanes, groups): (usize, usize),
        weights: &Weights<'_>,
        filters: impl Iterator<Item = F>,
        (input, output): (Element, Element),
        offset: i32,
        activation: Activation,
    ) -> Self {
        let (mut bias, mut reaches) = (Vec::new(), Vec::new());
        for (channel, filter) in weights.channels().zip(filters) {
            let (mut sum, mut reach) = (0_i32, i64::from(channel.bias).abs());
            for code in filter {
                sum = sum.wrapping_add((*code).into());
                reach += input.max_abs() * i64::from(*code).abs();
            }
            bias.push(channel.bias.wrapping_sub(offset.wrapping_mul(sum)));
            reaches.push(reach);
        }
        let requantizers = weights.channels().map(|channel| channel.requantizer).collect();
        Self::of_channels((lanes, groups), &bias, &reaches, requantizers, (output, activation))
    }

    /// As [`Self::new`].
    ///
    /// bias     what the accumulators of each channel start from
    /// reaches  how far from 0 they get
    fn of_channels(
        (lanes, groups): (usize, usize),
        bias: &[i32],
        reaches: &[i64],
        requantizers: Vec<Requantizer>,
        (element, activation): (Element, Activation),
    ) -> Self {
        let channels = || requantizers.iter().zip(reaches);
        let all = |scale| {
            let factors = channels().map(|(requantizer, reach)| Factor::new(scale, *requantizer, *reach, activation));
            Some((scale, factors.collect::<Option<Vec<_>>>()?))
        };
        let found = [Scale::Shift, Scale::Rectify, Scale::Multiply].into_iter().find_map(all);
        let (scale, factors) = found.unwrap_or((Scale::EachByItself, std::vec![Factor::default(); bias.len()]));
        let group_len = (bias.len() / groups.max(1)).max(1);
        let mut tables = Vec::new();
        for (bias, factors) in bias.chunks(group_len).zip(factors.chunks(group_len)) {
            for (bias, factors) in bias.chunks(lanes).zip(factors.chunks(lanes)) {
                let start = tables.len();
                tables.resize(start + ROWS * lanes, 0);
                for (lane, (bias, factor)) in bias.iter().zip(factors).enumerate() {
                    let Factor { multiplier, right_shift, start: sum, away } = *factor;
                    let column = [*bias, multiplier, right_shift, away];
                    for (row, value) in column.into_iter().enumerate() {
                        tables[start + row * lanes + lane] = value;
                    }
                    let place = start + (column.len() + lane % 2) * lanes + lane / 2 * 2;
                    tables[place] = sum as i32;
                    tables[place + 1] = (sum >> 32) as i32;
                }
            }
        }
        Self { tables, scale, requantizers, activation, element }
    }

    /// Number of channels.
    pub(super) fn channels(&self) -> usize {
        self.requantizers.len()
    }

    /// Bytes of a pixel of the output.
    #[inline(always)]
    pub(super) fn pixel_bytes(&self) -> usize {
        self.channels() * self.element.bytes()
    }

    /// What the accumulators of a vector of channels start from.
    #[inline(always)]
    pub(super) fn bias<const L: usize>(&self, vector: usize) -> &[i32; L] {
        &self.table(vector)[0]
    }

    #[inline(always)]
    fn table<const L: usize>(&self, vector: usize) -> &[[i32; L]; ROWS] {
        let table = self.tables.get(vector * ROWS * L..).and_then(|tables| tables.as_chunks().0.first_chunk());
        table.unwrap_or(&[[0; L]; ROWS])
    }

    /// Runs tiles of `N` vectors of channels.
    ///
    /// vector    the first one
    /// channels  the first one's, and the one behind the last that is written
    #[inline(always)]
    pub(super) fn run<V: Registers<L>, T: Tiles<V, L, N>, const L: usize, const N: usize>(
        &self,
        vectors: V,
        vector: usize,
        (first, end): (usize, usize),
        tiles: T,
    ) {
        let tables = from_fn::<_, N, _>(|index| self.table(vector + index));
        let bias = tables.map(|table| vectors.load(&table[0]));
        let (ending, channels) = (self, (first, end.min(first + N * L)));
        match self.scale {
            Scale::Shift => {
                let ends = tables.map(|table| Shifts::new(vectors, table));
                tiles.run(vectors, &Ends { ending, bias, ends, channels });
            }
            Scale::Rectify => {
                let ends = tables.map(|table| Rectified::new(vectors, table));
                tiles.run(vectors, &Ends { ending, bias, ends, channels });
            }
            Scale::Multiply => {
                let ends = tables.map(|table| Factors::new(vectors, table));
                tiles.run(vectors, &Ends { ending, bias, ends, channels });
            }
            Scale::EachByItself => {
                let requantizers = |index| self.requantizers.get(first + index * L..).unwrap_or_default();
                let ends = from_fn(|index| Slow(requantizers(index), self.activation));
                tiles.run(vectors, &Ends { ending, bias, ends, channels });
            }
        }
    }

    /// Writes the codes of a vector of channels of one pixel.
    ///
    /// channels  as [`Self::run`]'s
    /// output    all channels of the pixel
    #[inline(always)]
    pub(super) fn write<V: Registers<L>, const L: usize>(
        &self,
        vectors: V,
        sums: V::Sums,
        vector: usize,
        channels: (usize, usize),
        output: &mut [u8],
    ) {
        self.run(vectors, vector, channels, OneTile { sums: [[sums]], output });
    }

    /// Writes some of the codes of each pixel, of any element.
    ///
    /// codes  `[pixels, len]`
    #[inline(never)]
    fn put_some(&self, codes: &[i32], len: usize, (first, end): (usize, usize), output: &mut [u8]) {
        let bytes = self.element.bytes();
        for (codes, pixel) in codes.chunks_exact(len).zip(output.chunks_exact_mut(self.pixel_bytes().max(1))) {
            let target = pixel.get_mut(first * bytes..end * bytes).unwrap_or_default();
            for (code, target) in codes.iter().zip(target.chunks_exact_mut(bytes)) {
                let code = saturate(*code, self.activation).to_le_bytes();
                target.iter_mut().zip(code).for_each(|(target, byte)| *target = byte);
            }
        }
    }
}

/// Tiles that lie in the same `N` vectors of channels.
pub(super) trait Tiles<V: Registers<L>, const L: usize, const N: usize> {
    /// Writes all of them. To be inlined, so that it is compiled for the instruction set.
    fn run<E: End<V, L>>(self, vectors: V, ends: &Ends<'_, V::Sums, E, N>);
}

/// A tile of one vector of one pixel.
struct OneTile<'a, S> {
    sums: [[S; 1]; 1],
    output: &'a mut [u8],
}

impl<V: Registers<L>, const L: usize> Tiles<V, L, 1> for OneTile<'_, V::Sums> {
    #[inline(always)]
    fn run<E: End<V, L>>(self, vectors: V, ends: &Ends<'_, V::Sums, E, 1>) {
        ends.write(vectors, self.sums, self.output);
    }
}

/// What the accumulators of `N` vectors of channels start from and end in.
pub(super) struct Ends<'a, S, E, const N: usize> {
    ending: &'a Ending,
    /// What they start from.
    pub(super) bias: [S; N],
    ends: [E; N],
    /// The first one's channel, and the one behind the last that is written.
    channels: (usize, usize),
}

impl<S, E, const N: usize> Ends<'_, S, E, N> {
    /// Bytes of a pixel of the output.
    #[inline(always)]
    pub(super) fn pixel_bytes(&self) -> usize {
        self.ending.pixel_bytes()
    }

    /// Writes the codes of each pixel of a tile, as many pixels as there are.
    ///
    /// output  from the first pixel on, all channels of each
    #[inline(always)]
    pub(super) fn write<V: Registers<L, Sums = S>, const L: usize, const P: usize>(
        &self,
        vectors: V,
        sums: [[S; N]; P],
        output: &mut [u8],
    ) where
        S: Copy,
        E: End<V, L>,
    {
        let Ending { activation, element, .. } = self.ending;
        let (first, end) = self.channels;
        if element.bytes() == 1 && end == first + N * L {
            let bounds = (activation.min.into(), activation.max.into());
            let output = output.get_mut(first..).unwrap_or_default();
            let mut next = Next { pixel_bytes: self.ending.channels(), output };
            // Written out: a loop would have the sums in memory.
            next.write::<L, N>(vectors.bytes(self.four(vectors, &sums, 0), bounds), P);
            if P * N > FOUR {
                next.write::<L, N>(vectors.bytes(self.four(vectors, &sums, FOUR), bounds), P);
            }
            if P * N > 2 * FOUR {
                next.write::<L, N>(vectors.bytes(self.four(vectors, &sums, 2 * FOUR), bounds), P);
                next.write::<L, N>(vectors.bytes(self.four(vectors, &sums, 3 * FOUR), bounds), P);
            }
        } else {
            let mut codes = [[[0; L]; N]; P];
            for (codes, sums) in codes.iter_mut().zip(sums) {
                for vector in 0..N {
                    codes[vector] = vectors.store(self.ends[vector].codes(vectors, sums[vector]));
                }
            }
            self.ending.put_some(codes.as_flattened().as_flattened(), N * L, self.channels, output);
        }
    }

    /// The codes of four vectors of a tile, from one on, before the saturate; behind the last pixel they are those of the last.
    #[inline(always)]
    fn four<V: Registers<L, Sums = S>, const L: usize, const P: usize>(
        &self,
        vectors: V,
        sums: &[[S; N]; P],
        index: usize,
    ) -> [S; FOUR]
    where
        S: Copy,
        E: End<V, L>,
    {
        [
            self.ends[0].codes(vectors, sums[index / N][0]),
            self.ends[1 % N].codes(vectors, sums[((index + 1) / N).min(P - 1)][1 % N]),
            self.ends[2 % N].codes(vectors, sums[((index + 2) / N).min(P - 1)][2 % N]),
            self.ends[3 % N].codes(vectors, sums[((index + 3) / N).min(P - 1)][3 % N]),
        ]
    }
}

/// Writes the codes of some vectors of channels, pixel by pixel.
struct Next<'a> {
    pixel_bytes: usize,
    /// From the vectors' first code of the next pixel on.
    output: &'a mut [u8],
}

impl Next<'_> {
    /// `N` vectors of each pixel: of four vectors' pixels, but no more than there are.
    #[inline(always)]
    fn write<const L: usize, const N: usize>(&mut self, codes: [[u8; L]; FOUR], pixels: usize) {
        let mut output = core::mem::take(&mut self.output);
        let side_by_side = self.pixel_bytes == N * L && pixels * N >= FOUR;
        if side_by_side && let Some(target) = output.as_chunks_mut().0.first_chunk_mut() {
            *target = codes;
            self.output = output.get_mut(FOUR * L..).unwrap_or_default();
            return;
        }
        for codes in codes.as_chunks::<N>().0.iter().take(pixels) {
            let Some(target) = output.as_chunks_mut().0.first_chunk_mut() else { return };
            *target = *codes;
            output = output.get_mut(self.pixel_bytes..).unwrap_or_default();
        }
        self.output = output;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::InstructionSet;
    use crate::kernels::host::vectors::{Vectors, Work};

    /// Channels of the widest vector.
    const CHANNELS: usize = 16;

    /// Pixels of a tile.
    const PIXELS: usize = 4;

    /// Accumulators that come to codes.
    struct Run<'a> {
        ending: &'a Ending,
        sums: &'a [[i32; CHANNELS]],
        output: &'a mut [u8],
    }

    impl Work for Run<'_> {
        fn run<V: Vectors<L>, const L: usize>(self, vectors: V) {
            for vector in 0..CHANNELS / L {
                let sums = self.sums;
                let tiles = Sums { sums, vector, output: self.output };
                self.ending.run::<V, _, L, 1>(vectors, vector, (vector * L, CHANNELS), tiles);
            }
        }
    }

    struct Sums<'a> {
        sums: &'a [[i32; CHANNELS]],
        vector: usize,
        output: &'a mut [u8],
    }

    impl<V: Registers<L>, const L: usize> Tiles<V, L, 1> for Sums<'_> {
        fn run<E: End<V, L>>(self, vectors: V, ends: &Ends<'_, V::Sums, E, 1>) {
            let tiles = self.sums.as_chunks::<PIXELS>().0;
            for (sums, output) in tiles.iter().zip(self.output.chunks_mut(PIXELS * ends.pixel_bytes())) {
                let sums = sums.map(|sums| [vectors.load(&sums.as_chunks().0[self.vector])]);
                ends.write(vectors, sums, output);
            }
        }
    }

    /// The accumulators on both sides of every step from code to code, and the outermost. Codes never fall as accumulators rise,
    /// in the form of vectors neither: what gives these the same codes gives all others the same.
    fn accumulators(requantizer: Requantizer, reach: i32, activation: Activation) -> Vec<i32> {
        let mut sums = std::vec![-reach, reach, 0];
        for code in activation.min.into()..=i32::from(activation.max) {
            let (mut below, mut from) = (-i64::from(reach), i64::from(reach));
            while from - below > 1 {
                let middle = (below + from) / 2;
                if requantizer.apply::<ALL_LINKS>(middle as i32, activation) < code {
                    below = middle;
                } else {
                    from = middle;
                }
            }
            sums.extend([below as i32, from as i32]);
        }
        sums
    }

    /// Compares the codes of sixteen channels, each instruction set's with the requantizers'; how many sets ran them at the scale.
    fn check(
        scale: Scale,
        channels: &[(Requantizer, i32); CHANNELS],
        element: Element,
        activation: Activation,
    ) -> usize {
        let lists = channels.map(|(requantizer, reach)| accumulators(requantizer, reach, activation));
        let pixels = lists[0].len().next_multiple_of(PIXELS);
        let at = |pixel: usize, channel: usize| lists[channel].get(pixel).copied().unwrap_or(0);
        let sums: Vec<[i32; CHANNELS]> =
            (0..pixels).map(|pixel| core::array::from_fn(|channel| at(pixel, channel))).collect();
        let requantizers = channels.map(|(requantizer, _)| requantizer);
        let expected: Vec<u8> = sums
            .iter()
            .flat_map(|sums| requantizers.iter().zip(sums))
            .map(|(requantizer, sum)| requantizer.apply::<ALL_LINKS>(*sum, activation).to_le_bytes()[0])
            .collect();
        let mut runs = 0;
        for set in InstructionSet::ALL {
            let reaches = channels.map(|(_, reach)| reach.into());
            let (lanes, end) = ((set.lanes(), 1), (element, activation));
            let ending = Ending::of_channels(lanes, &[0; CHANNELS], &reaches, requantizers.to_vec(), end);
            // Channels that nothing is left of fit either.
            assert_ne!(ending.scale, Scale::EachByItself, "{channels:?}");
            let mut output = std::vec![0; expected.len()];
            if set.run(Run { ending: &ending, sums: &sums, output: &mut output }).is_some() {
                let differs = output.iter().zip(&expected).position(|(code, expected)| code != expected);
                assert_eq!(differs, None, "{channels:?} to {activation:?} by {}", set.name());
                runs += usize::from(ending.scale == scale);
            }
        }
        runs
    }

    #[test]
    fn a_factor_gives_the_codes_of_its_requantizer() {
        let kinds = [
            (Scale::Rectify, Element::I8, Activation { min: 3, max: 127 }, [-128, 0, 3]),
            (Scale::Rectify, Element::I8, Activation { min: -128, max: 90 }, [-128, -128, -128]),
            (Scale::Rectify, Element::U8, Activation { min: 7, max: 255 }, [0, 5, 7]),
            (Scale::Multiply, Element::I8, Activation { min: -128, max: 127 }, [-127, 4, 127]),
            (Scale::Multiply, Element::I8, Activation { min: -100, max: -3 }, [-90, -3, 0]),
            (Scale::Multiply, Element::U8, Activation { min: 0, max: 255 }, [1, 128, 255]),
        ];
        let mut runs = 0;
        for (scale, element, activation, zeros) in kinds {
            let mut channels = Vec::new();
            for shift in -31..=0 {
                for multiplier in [0, 1, 1 << 30, (1 << 30) + 1, 1_234_567_891, 1_518_500_250, i32::MAX] {
                    for reach in [0, 1, 100, 30_000, 1 << 20, (1 << 30) - 1, i32::MAX] {
                        let zero = zeros[channels.len() % zeros.len()];
                        let requantizer = Requantizer::Multiply { multiplier, shift, zero };
                        if Factor::new(scale, requantizer, reach.into(), activation).is_some() {
                            channels.push((requantizer, reach));
                        }
                    }
                }
            }
            assert!(channels.len() > 1000, "{}", channels.len());
            for channels in channels.as_chunks().0 {
                runs += check(scale, channels, element, activation);
            }
        }
        let sets = InstructionSet::ALL.iter().filter(|set| **set <= InstructionSet::detected()).count() - 1;
        assert!(runs > 300 * sets || sets == 0, "{runs}");
    }
}
