//! From accumulators to codes, a vector at a time.

use std::vec::Vec;

use super::elementwise::put;
use super::vectors::Registers;
use crate::arithmetic::{MAX_SHIFT, Requantizer};
use crate::format::{ALL_LINKS, Activation, Element, Weights};

/// Rows of a vector's table: where its accumulators start, and the fields of [`Factor`].
const ROWS: usize = 6;

/// What brings the accumulators of a layer to codes.
#[derive(Debug)]
enum Scale {
    /// Right shifts. Spec 3.1.
    Shift,
    /// Multipliers between two shifts. Spec 3.4.
    Multiply,
    /// What no vector has: left shifts of powers of two, and channels of the affine scheme without a [`Factor`].
    EachByItself,
}

/// A multiplication with its two roundings, as one of 64 bits and a shift: a code is
/// `(high(acc * 2^left_shift * multiplier) + offset + (acc < 0 ? away : 0)) >> right_shift`, where
/// `high(p) = floor((p + 2^31) / 2^32)`.
///
/// The first rounding is `high` of twice the accumulator. The second, half away from zero, is half up of one less below
/// zero; the accumulator tells as well as the product, as where only the accumulator is negative the product is 0 and stays
/// so. `offset` has the half and the code of zero.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Factor {
    multiplier: i32,
    /// One more than the requantizer's.
    left_shift: i32,
    right_shift: i32,
    offset: i32,
    /// -1; 0 where nothing is rounded the second time.
    away: i32,
}

impl Factor {
    /// Of a channel whose accumulators are at most `reach` from 0; of a power of two the shift alone. `None` where 32 bits have
    /// not all of it.
    fn new(requantizer: Requantizer, reach: i64) -> Option<Self> {
        let (multiplier, shift, zero) = match requantizer {
            Requantizer::Multiply { multiplier, shift, zero } => (multiplier, shift, zero),
            Requantizer::Shift(right_shift @ 0..=MAX_SHIFT) => {
                return Some(Self { right_shift: right_shift.into(), ..Self::default() });
            }
            Requantizer::Shift(_) => return None,
        };
        let (left, right) = (i32::from(shift).clamp(0, 30), i32::from(shift).wrapping_neg().clamp(0, 31));
        let reach = reach.min(i64::from(i32::MAX)) << left;
        let half = (1_i64 << right) >> 1;
        if reach < half {
            // Channels whose weights are all 0 have any shift.
            return Some(Self { offset: zero.into(), ..Self::default() });
        }
        let offset = half + (i64::from(zero) << right);
        let fits = reach < 1 << 30 && reach + offset.abs() < 1 << 31;
        let offset = i32::try_from(offset).ok().filter(|_| fits)?;
        Some(Self { multiplier, left_shift: left + 1, right_shift: right, offset, away: -i32::from(right > 0) })
    }
}

/// What brings the accumulators of a vector of channels to codes, before the saturate.
trait End<V, const L: usize>
where
    V: Registers<L>,
{
    fn codes(&self, vectors: V, sums: V::Sums) -> V::Sums;
}

/// Right shifts.
struct Shifts<S>(S);

impl<V: Registers<L>, const L: usize> End<V, L> for Shifts<V::Sums> {
    #[inline(always)]
    fn codes(&self, vectors: V, sums: V::Sums) -> V::Sums {
        vectors.shift_right(sums, self.0)
    }
}

/// A [`Factor`] for each channel.
struct Factors<S>([S; ROWS - 1]);

impl<V: Registers<L>, const L: usize> End<V, L> for Factors<V::Sums> {
    #[inline(always)]
    fn codes(&self, vectors: V, sums: V::Sums) -> V::Sums {
        vectors.scale(sums, self.0)
    }
}

/// The ends that no vector has, from a channel on.
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
        let (mut bias, mut factors) = (Vec::new(), Vec::new());
        for (channel, filter) in weights.channels().zip(filters) {
            let (mut sum, mut reach) = (0_i32, i64::from(channel.bias).abs());
            for code in filter {
                sum = sum.wrapping_add((*code).into());
                reach += input.max_abs() * i64::from(*code).abs();
            }
            bias.push(channel.bias.wrapping_sub(offset.wrapping_mul(sum)));
            factors.push(Factor::new(channel.requantizer, reach));
        }
        let requantizers: Vec<Requantizer> = weights.channels().map(|channel| channel.requantizer).collect();
        let scale = match requantizers.first() {
            _ if factors.contains(&None) => Scale::EachByItself,
            Some(Requantizer::Multiply { .. }) => Scale::Multiply,
            _ => Scale::Shift,
        };
        let group_len = (bias.len() / groups.max(1)).max(1);
        let mut tables = Vec::new();
        for (bias, factors) in bias.chunks(group_len).zip(factors.chunks(group_len)) {
            for (bias, factors) in bias.chunks(lanes).zip(factors.chunks(lanes)) {
                let start = tables.len();
                tables.resize(start + ROWS * lanes, 0);
                for (lane, (bias, factor)) in bias.iter().zip(factors).enumerate() {
                    let Factor { multiplier, left_shift, right_shift, offset, away } = factor.unwrap_or_default();
                    let column = [*bias, multiplier, left_shift, right_shift, offset, away];
                    for (row, value) in column.into_iter().enumerate() {
                        tables[start + row * lanes + lane] = value;
                    }
                }
            }
        }
        Self { tables, scale, requantizers, activation, element: output }
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
    pub(super) fn bias<const L: usize>(&self, vector: usize) -> [i32; L] {
        self.table(vector).map_or([0; L], |[bias, ..]| *bias)
    }

    #[inline(always)]
    fn table<const L: usize>(&self, vector: usize) -> Option<&[[i32; L]; ROWS]> {
        self.tables.get(vector * ROWS * L..)?.as_chunks().0.first_chunk()
    }

    /// Writes the codes of a vector of channels of each pixel; of fewer channels where there are fewer.
    ///
    /// first   channel of the first accumulator
    /// end     channel behind the last one that is written
    /// output  from the first pixel on, all channels of each
    #[inline(always)]
    pub(super) fn write<V: Registers<L>, const L: usize, const P: usize>(
        &self,
        vectors: V,
        sums: [V::Sums; P],
        vector: usize,
        (first, end): (usize, usize),
        output: &mut [u8],
    ) {
        let Some(table) = self.table(vector) else { return };
        let channels = (first, end.min(first + L));
        let [_, multipliers, left_shifts, right_shifts, offsets, away] = table;
        match &self.scale {
            Scale::Shift => self.put(vectors, sums, &Shifts(vectors.load(right_shifts)), channels, output),
            Scale::Multiply => {
                let ends = Factors([
                    vectors.load(multipliers),
                    vectors.load(left_shifts),
                    vectors.load(right_shifts),
                    vectors.load(offsets),
                    vectors.load(away),
                ]);
                self.put(vectors, sums, &ends, channels, output);
            }
            Scale::EachByItself => {
                let requantizers = self.requantizers.get(first..).unwrap_or_default();
                self.put(vectors, sums, &Slow(requantizers, self.activation), channels, output);
            }
        }
    }

    /// As [`Self::write`], with what brings the accumulators to codes.
    #[inline(always)]
    fn put<V: Registers<L>, E: End<V, L>, const L: usize, const P: usize>(
        &self,
        vectors: V,
        sums: [V::Sums; P],
        ends: &E,
        (first, end): (usize, usize),
        output: &mut [u8],
    ) {
        let (min, max) = (i32::from(self.activation.min), i32::from(self.activation.max));
        let pixel_bytes = self.pixel_bytes();
        if self.element.bytes() == 1 && end == first + L {
            // Of 1, 4 or 8 pixels, written out: a loop would have the sums in memory.
            let mut next = Next {
                vectors,
                ends,
                bounds: (min, max),
                pixel_bytes,
                output: output.get_mut(first..).unwrap_or_default(),
            };
            next.write(sums[0]);
            if P >= 4 {
                next.write(sums[1]);
                next.write(sums[2]);
                next.write(sums[3]);
            }
            if P >= 8 {
                next.write(sums[4]);
                next.write(sums[5]);
                next.write(sums[6]);
                next.write(sums[7]);
            }
        } else {
            let mut codes = [[0; L]; P];
            for (codes, sums) in codes.iter_mut().zip(sums) {
                *codes = vectors.store(ends.codes(vectors, sums));
                for code in codes {
                    *code = (*code).min(max).max(min);
                }
            }
            self.put_some(&codes, (first, end), output);
        }
    }

    /// Writes some of the codes of each pixel, of any element.
    #[inline(never)]
    fn put_some<const L: usize>(&self, codes: &[[i32; L]], (first, end): (usize, usize), output: &mut [u8]) {
        let bytes = self.element.bytes();
        for (codes, pixel) in codes.iter().zip(output.chunks_exact_mut(self.pixel_bytes().max(1))) {
            put(*codes, bytes, pixel.get_mut(first * bytes..end * bytes).unwrap_or_default());
        }
    }
}

/// Writes the codes of a vector of channels, pixel by pixel.
struct Next<'a, V, E> {
    vectors: V,
    ends: &'a E,
    bounds: (i32, i32),
    pixel_bytes: usize,
    /// From the vector's first code of the next pixel on.
    output: &'a mut [u8],
}

impl<V, E> Next<'_, V, E> {
    #[inline(always)]
    fn write<const L: usize>(&mut self, sums: V::Sums)
    where
        V: Registers<L>,
        E: End<V, L>,
    {
        let output = core::mem::take(&mut self.output);
        let Some(target) = output.first_chunk_mut() else { return };
        *target = self.vectors.bytes(self.ends.codes(self.vectors, sums), self.bounds.0, self.bounds.1);
        self.output = output.get_mut(self.pixel_bytes..).unwrap_or_default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::arithmetic::saturate;
    use crate::kernels::InstructionSet;
    use crate::kernels::host::vectors::{Vectors, Work};

    /// Accumulators of the widest vector.
    const GREATEST_LANES: usize = 16;

    /// Accumulators that come to codes by one factor.
    struct Run<'a> {
        factor: Factor,
        sums: &'a [i32],
        codes: &'a mut Vec<i32>,
    }

    impl Work for Run<'_> {
        fn run<V: Vectors<L>, const L: usize>(self, vectors: V) {
            let Factor { multiplier, left_shift, right_shift, offset, away } = self.factor;
            let rows = [multiplier, left_shift, right_shift, offset, away].map(|value| vectors.load(&[value; L]));
            for sums in self.sums.as_chunks::<L>().0 {
                self.codes.extend(vectors.store(vectors.scale(vectors.load(sums), rows)));
            }
        }
    }

    /// The ends of a range, what is around 0 and ties, and some between.
    fn accumulators(reach: i32, right: u32) -> Vec<i32> {
        let mut sums: Vec<i32> =
            (-40..40).chain(-reach..(40 - reach).min(reach)).chain((reach - 40).max(-reach)..=reach).collect();
        for multiple in -20..20_i64 {
            let tie = (2 * multiple + 1) << right >> 1;
            sums.extend((tie - 3..=tie + 3).filter_map(|sum| i32::try_from(sum).ok()));
        }
        let mut state = 1_u32;
        sums.extend((0..200).map(|_| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            state.cast_signed() % reach.max(1)
        }));
        sums.retain(|sum| sum.abs() <= reach);
        sums.resize(sums.len().next_multiple_of(GREATEST_LANES), 0);
        sums
    }

    #[test]
    fn a_factor_gives_the_codes_of_its_requantizer() {
        let activation = Activation { min: i16::MIN, max: i16::MAX };
        let mut runs = 0;
        for shift in -31..=30_i8 {
            for multiplier in [0, 1, 1 << 30, 1_234_567_891, 1_518_500_250, i32::MAX] {
                for (zero, reach) in [-128, 0, 3, 255]
                    .into_iter()
                    .flat_map(|zero| [1, 100, 30_000, 1 << 20, (1 << 30) - 1].map(|reach| (zero, reach)))
                {
                    let requantizer = Requantizer::Multiply { multiplier, shift, zero };
                    let Some(factor) = Factor::new(requantizer, reach) else { continue };
                    let sums = accumulators(reach as i32, shift.min(0).unsigned_abs().into());
                    let expected: Vec<i32> =
                        sums.iter().map(|sum| requantizer.apply::<ALL_LINKS>(*sum, activation)).collect();
                    for set in InstructionSet::ALL {
                        let mut codes = Vec::new();
                        if set.run(Run { factor, sums: &sums, codes: &mut codes }).is_some() {
                            let codes: Vec<i32> = codes.iter().map(|code| saturate(*code, activation)).collect();
                            assert_eq!(codes, expected, "{requantizer:?} by {}", set.name());
                            runs += 1;
                        }
                    }
                }
            }
        }
        assert!(runs > 1000 || InstructionSet::detected() == InstructionSet::Portable, "{runs}");
    }
}
