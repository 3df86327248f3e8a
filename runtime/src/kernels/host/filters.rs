//! Filters in the order of the inner loop: a vector of output channels beside the next.

use std::vec::Vec;

use crate::format::{ALL_LINKS, Weights};
use crate::kernels::{WeightCodes, by_width};

/// Vectors of output channels that a tile takes at a time.
pub(super) const BLOCK: usize = 2;

/// The weights of some output channels, `[blocks, steps, vectors of the block, L, K]`: the last block may be of one vector,
/// and channels behind the last one have weights of 0.
#[derive(Debug, Default)]
pub(super) struct Filters<W, const K: usize> {
    groups: Vec<[W; K]>,
    /// Groups of weights of one channel.
    steps: usize,
}

impl<W: Copy + Default, const K: usize> Filters<W, K> {
    /// For vectors of `lanes` channels; `weight(channel, step)` is a group of the channel's weights.
    pub(super) fn new(lanes: usize, channels: usize, steps: usize, weight: impl Fn(usize, usize) -> [W; K]) -> Self {
        let vectors = channels.div_ceil(lanes);
        let mut groups = Vec::with_capacity(vectors * lanes * steps);
        for first in (0..vectors).step_by(BLOCK) {
            for step in 0..steps {
                for channel in first * lanes..(first + BLOCK).min(vectors) * lanes {
                    groups.push(if channel < channels { weight(channel, step) } else { [W::default(); K] });
                }
            }
        }
        Self { groups, steps }
    }

    /// The groups of the block that begins with a vector, and of those behind it.
    #[inline(always)]
    pub(super) fn block<const L: usize>(&self, vector: usize) -> &[[W; K]] {
        self.groups.get(vector * L * self.steps..).unwrap_or_default()
    }
}

/// The first `count` codes of a layer's weights.
pub(super) fn codes(weights: &Weights<'_>, count: usize) -> Vec<i16> {
    by_width!(ALL_LINKS, weights, |w| narrow(w.every(1).take(count)), else Vec::new())
}

/// Codes of at most 16 bits as such.
fn narrow(codes: impl Iterator<Item = i32>) -> Vec<i16> {
    codes.map(|code| i16::try_from(code).unwrap_or_default()).collect()
}
