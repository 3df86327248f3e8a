//! From accumulators to codes, a vector at a time.

use std::vec::Vec;

use super::elementwise::put;
use crate::arithmetic::{MAX_SHIFT, Requantizer, doubling_high_multiply};
use crate::format::{ALL_LINKS, Activation, Element, Weights};

/// Accumulators of the widest vector.
const GREATEST_LANES: usize = 16;

/// What brings the accumulators of a layer to codes, each table `[C_OUT]`, then zeros.
#[derive(Debug)]
enum Scale {
    /// Right shifts. Spec 3.1.
    Shift(Vec<i32>),
    /// Q31 multipliers between two shifts, and the code of zero. Spec 3.4.
    Multiply { multipliers: Vec<i32>, left_shifts: Vec<i32>, right_shifts: Vec<i32>, zero: i32 },
    /// Left shifts of powers of two, which no vector has.
    EachByItself,
}

impl Scale {
    fn new(requantizers: &[Requantizer]) -> Self {
        let right = |requantizer: &Requantizer| match requantizer {
            Requantizer::Shift(right_shift @ 0..=MAX_SHIFT) => Some(i32::from(*right_shift)),
            _ => None,
        };
        if let Some(shifts) = requantizers.iter().map(right).collect::<Option<Vec<i32>>>() {
            return Self::Shift(padded(shifts));
        }
        let parts = |requantizer: &Requantizer| match requantizer {
            Requantizer::Multiply { multiplier, shift, zero } => {
                Some((*multiplier, i32::from(*shift), i32::from(*zero)))
            }
            Requantizer::Shift(_) => None,
        };
        let Some(parts) = requantizers.iter().map(parts).collect::<Option<Vec<_>>>() else { return Self::EachByItself };
        Self::Multiply {
            multipliers: padded(parts.iter().map(|(multiplier, ..)| *multiplier)),
            left_shifts: padded(parts.iter().map(|(_, shift, _)| (*shift).clamp(0, 30))),
            right_shifts: padded(parts.iter().map(|(_, shift, _)| shift.wrapping_neg().clamp(0, 31))),
            zero: parts.first().map_or(0, |(.., zero)| *zero),
        }
    }
}

/// A table with a vector's worth of zeros behind it.
fn padded(values: impl IntoIterator<Item = i32>) -> Vec<i32> {
    values.into_iter().chain([0; GREATEST_LANES]).collect()
}

/// What the accumulators of a layer start from and end in.
#[derive(Debug)]
pub(super) struct Ending {
    /// `[C_OUT]`, then zeros.
    bias: Vec<i32>,
    scale: Scale,
    requantizers: Vec<Requantizer>,
    activation: Activation,
    element: Element,
}

impl Ending {
    /// Of a layer whose output has an element.
    pub(super) fn new(weights: &Weights<'_>, activation: Activation, element: Element) -> Self {
        let requantizers: Vec<Requantizer> = weights.channels().map(|channel| channel.requantizer).collect();
        Self {
            bias: padded(weights.channels().map(|channel| channel.bias)),
            scale: Scale::new(&requantizers),
            requantizers,
            activation,
            element,
        }
    }

    /// For sums of codes that are `offset` more than they are: takes as many times the channel's weights from what each starts from.
    ///
    /// codes  `[C_OUT, ..]` the layer's weights
    pub(super) fn without_offset(mut self, offset: i32, codes: &[i16]) -> Self {
        let filter_len = (codes.len() / self.channels().max(1)).max(1);
        for (bias, filter) in self.bias.iter_mut().zip(codes.chunks_exact(filter_len)) {
            let sum: i32 = filter.iter().map(|code| i32::from(*code)).sum();
            *bias = bias.wrapping_sub(offset.wrapping_mul(sum));
        }
        self
    }

    /// Number of channels.
    pub(super) fn channels(&self) -> usize {
        self.requantizers.len()
    }

    /// Bytes of a code.
    #[inline(always)]
    pub(super) const fn code_bytes(&self) -> usize {
        self.element.bytes()
    }

    /// What the accumulators of `L` channels from `channel` on start from.
    #[inline(always)]
    pub(super) fn bias<const L: usize>(&self, channel: usize) -> [i32; L] {
        vector(&self.bias, channel)
    }

    /// Writes the codes of `L` channels of a pixel from `channel` on; of fewer where there are fewer.
    ///
    /// pixel  the pixel's bytes in the output, all channels
    #[inline(always)]
    pub(super) fn write<const L: usize>(&self, sums: [i32; L], channel: usize, pixel: &mut [u8]) {
        let (min, max) = (i32::from(self.activation.min), i32::from(self.activation.max));
        let mut codes = sums;
        match &self.scale {
            Scale::Shift(shifts) => {
                for (code, shift) in codes.iter_mut().zip(vector::<L>(shifts, channel)) {
                    *code = (*code >> (shift & 31)).min(max).max(min);
                }
            }
            Scale::Multiply { multipliers, left_shifts, right_shifts, zero } => {
                let multipliers = vector::<L>(multipliers, channel);
                let (left, right) = (vector::<L>(left_shifts, channel), vector::<L>(right_shifts, channel));
                for (((code, multiplier), left), right) in codes.iter_mut().zip(multipliers).zip(left).zip(right) {
                    let product = doubling_high_multiply(*code << (left & 31), multiplier);
                    *code = rounding_divide_by(product, right).min(max - zero).max(min - zero) + zero;
                }
            }
            Scale::EachByItself => codes = self.slow(sums, channel),
        }
        let bytes = pixel.get_mut(channel * self.element.bytes()..).unwrap_or_default();
        put(codes, self.element.bytes(), bytes);
    }

    /// The ends that no vector has.
    #[inline(never)]
    fn slow<const L: usize>(&self, mut sums: [i32; L], channel: usize) -> [i32; L] {
        for (sum, requantizer) in sums.iter_mut().zip(self.requantizers.get(channel..).unwrap_or_default()) {
            *sum = requantizer.apply::<ALL_LINKS>(*sum, self.activation);
        }
        sums
    }
}

/// [`rounding_divide`](crate::arithmetic::rounding_divide) without a branch.
#[inline(always)]
const fn rounding_divide_by(x: i32, exponent: i32) -> i32 {
    let below = if exponent > 0 { exponent - 1 } else { 0 };
    let half = x.wrapping_add(x >> 31) >> (below & 31);
    if exponent > 0 { (half >> 1) + (half & 1) } else { x }
}

/// `L` values from one on.
#[inline(always)]
fn vector<const L: usize>(values: &[i32], start: usize) -> [i32; L] {
    values.get(start..).and_then(|values| values.first_chunk()).copied().unwrap_or([0; L])
}
