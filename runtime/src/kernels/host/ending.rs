//! From accumulators to codes, a vector at a time.

use std::vec::Vec;

use super::elementwise::put;
use crate::arithmetic::{MAX_SHIFT, Requantizer};
use crate::format::{ALL_LINKS, Activation, Element, Weights};

/// Accumulators of the widest vector.
const GREATEST_LANES: usize = 16;

/// What the accumulators of a layer start from and end in.
#[derive(Debug)]
pub(super) struct Ending {
    /// `[C_OUT]`, then zeros.
    bias: Vec<i32>,
    /// `[C_OUT]`, then zeros; where every channel shifts right.
    right_shifts: Option<Vec<i32>>,
    requantizers: Vec<Requantizer>,
    activation: Activation,
    element: Element,
}

impl Ending {
    /// Of a layer whose output has an element.
    pub(super) fn new(weights: &Weights<'_>, activation: Activation, element: Element) -> Self {
        let channels = || weights.channels();
        let padded = |values: &mut dyn Iterator<Item = i32>| values.chain([0; GREATEST_LANES]).collect::<Vec<i32>>();
        let requantizers: Vec<Requantizer> = channels().map(|channel| channel.requantizer).collect();
        let right = |requantizer: &Requantizer| match requantizer {
            Requantizer::Shift(right_shift @ 0..=MAX_SHIFT) => Some(i32::from(*right_shift)),
            _ => None,
        };
        let right_shifts: Option<Vec<i32>> = requantizers.iter().map(right).collect();
        Self {
            bias: padded(&mut channels().map(|channel| channel.bias)),
            right_shifts: right_shifts.map(|shifts| padded(&mut shifts.into_iter())),
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
        let codes = match &self.right_shifts {
            Some(shifts) => {
                let (shifts, mut codes) = (vector::<L>(shifts, channel), sums);
                let (min, max) = (i32::from(self.activation.min), i32::from(self.activation.max));
                for (code, shift) in codes.iter_mut().zip(shifts) {
                    *code = (*code >> (shift & 31)).min(max).max(min);
                }
                codes
            }
            None => self.slow(sums, channel),
        };
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

/// `L` values from one on.
#[inline(always)]
fn vector<const L: usize>(values: &[i32], start: usize) -> [i32; L] {
    values.get(start..).and_then(|values| values.first_chunk()).copied().unwrap_or([0; L])
}
