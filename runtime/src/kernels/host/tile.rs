//! The inner loop: a few pixels by a block of output channels.

use super::filters::BLOCK;
use super::vectors::Multiply;

/// Pixels of a tile: with [`BLOCK`] vectors each they fill the registers of AVX2.
pub(super) const PIXELS: usize = 4;

/// Those of a tile of bytes: they fill the registers of AVX-512.
pub(super) const BYTE_PIXELS: usize = 8;

/// What the filters of a layer meet: stretches of codes that lie side by side.
#[derive(Debug, Clone, Copy)]
pub(super) struct Stretches<'a> {
    /// Where each begins, counted from the pixel's first code.
    pub(super) starts: &'a [usize],
    /// Groups of codes of each.
    pub(super) groups: usize,
}

/// Adds `sum(x * w)` of `P` pixels, whose codes begin at `places`, to the accumulators of `N` vectors of channels.
///
/// codes    the image
/// filters  `[stretches, groups, N, L, K]`
#[inline(always)]
pub(super) fn multiply<V, X: Copy, W, const L: usize, const N: usize, const P: usize, const K: usize>(
    vectors: V,
    codes: &[X],
    places: [usize; P],
    stretches: Stretches<'_>,
    filters: &[[W; K]],
    sums: [V::Sums; N],
) -> [[V::Sums; N]; P]
where
    V: Multiply<L, K, X, W>,
{
    let mut sums = [sums; P];
    let len = stretches.groups * K;
    let (mut blocks, _) = filters.as_chunks::<L>().0.as_chunks::<N>();
    for start in stretches.starts {
        let mut columns = [&[][..]; P];
        for (column, place) in columns.iter_mut().zip(places) {
            let Some((codes, _)) = codes.get(place + start..).and_then(|codes| codes.split_at_checked(len)) else {
                return sums;
            };
            *column = codes.as_chunks::<K>().0;
        }
        let Some((block, rest)) = blocks.split_at_checked(len / K) else { return sums };
        blocks = rest;
        for (step, block) in block.iter().enumerate() {
            for pixel in 0..P {
                let x = columns[pixel][step];
                for vector in 0..N {
                    sums[pixel][vector] = vectors.multiply_add(sums[pixel][vector], x, &block[vector]);
                }
            }
        }
    }
    sums
}

/// Vectors of a tile that begins with a vector: [`BLOCK`], or what is left.
#[inline(always)]
pub(super) fn width(vectors: usize, first: usize) -> usize {
    BLOCK.min(vectors.saturating_sub(first))
}
