//! The order [`Packing::Winograd`](super::Packing::Winograd): kernels of 3x3, transformed for F(2x2, 3x3).

use super::{Element, Window};

/// Places of a tile: four rows of four.
pub const PLACES: usize = 16;

/// Transformed weights of a convolution with a kernel of 3x3 and a stride of 1. A. Lavin, S. Gray, Fast Algorithms for Convolutional
/// Neural Networks, 2016, section 4.1.
///
/// It is exact: the middle rows of `G` are not halved, so that a place of a tile holds twice or four times what it would; the
/// output transform doubles the outer rows and columns and gives four times the sum of the direct form, whose
/// accumulators must leave two bits for that. Sums wrap modulo `2^32`.
///
/// Channels are padded with zeros to pairs. For each pair `a`, `b`, for each place of a tile, row by row, and each four input
/// channels follow the codes `[a0, a2, b0, b2]` and `[a1, a3, b1, b3]`, of 16 bits, as in [`Pairs`](super::Pairs).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Winograd {
    /// Channels of the input, a multiple of 4.
    pub in_ch: usize,
}

impl Winograd {
    /// Left shift that the output transform leaves on every sum.
    pub const SCALED_BY: u32 = 2;

    /// Tiles whose transforms a kernel holds at a time.
    pub const TILES: usize = 4;

    /// Columns of the input under so many tiles side by side.
    pub const COLUMNS: usize = 2 * Self::TILES + 2;

    /// The order for layers that have one: a dense kernel of 3x3 with a stride of 1, codes of one byte, input channels in fours.
    #[must_use]
    pub const fn new(window: &Window, in_ch: usize, input: Element) -> Option<Self> {
        let Window { kernel_h, kernel_w, stride_h, stride_w, dilation_h, dilation_w, .. } = *window;
        let fits = matches!((kernel_h, kernel_w, stride_h, stride_w, dilation_h, dilation_w), (3, 3, 1, 1, 1, 1));
        let bytes = !matches!(input, Element::I16) && in_ch > 0 && in_ch.is_multiple_of(4);
        if fits && bytes { Some(Self { in_ch }) } else { None }
    }

    /// Codes of a layer, padding included.
    #[must_use]
    pub const fn len(&self, out_ch: usize) -> usize {
        (PLACES * self.in_ch).saturating_mul(out_ch.next_multiple_of(2))
    }

    /// True for a layer without weights.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.in_ch == 0
    }

    /// Index in the blob of a place's code.
    #[must_use]
    pub const fn place(&self, out_ch: usize, in_ch: usize, place: usize) -> usize {
        let (quad, entry) = (in_ch / 4, in_ch % 4);
        let within = entry % 2 * 4 + out_ch % 2 * 2 + entry / 2;
        ((out_ch / 2 * PLACES + place) * (self.in_ch / 4) + quad) * 8 + within
    }

    /// Words of scratch: transformed tiles, their products with two channels, columns of one transform, a row of padding.
    #[must_use]
    pub const fn scratch_words(&self) -> [usize; 4] {
        let tiles = (PLACES * Self::TILES / 2).saturating_mul(self.in_ch);
        [tiles, 2 * PLACES * Self::TILES, 8 * Self::COLUMNS, (Self::COLUMNS * self.in_ch).div_ceil(4)]
    }

    /// Bytes of scratch, whatever the alignment of the arena.
    #[must_use]
    pub const fn scratch_bytes(&self) -> usize {
        let [tiles, products, columns, padding] = self.scratch_words();
        tiles.saturating_add(products + columns + padding).saturating_mul(4).saturating_add(3)
    }

    /// `G g G^T` with twice the middle rows of `G`: at most 9 times the greatest weight; `None` where that leaves 16 bits.
    #[must_use]
    pub fn transform(weights: [i32; 9]) -> Option<[i16; PLACES]> {
        let [a, b, c, d, e, f, g, h, i] = weights;
        let [left, middle, right] = [[a, d, g], [b, e, h], [c, f, i]].map(filter_axis);
        let mut places = [0; PLACES];
        let columns = left.into_iter().zip(middle).zip(right);
        for (places, ((a, b), c)) in places.chunks_exact_mut(4).zip(columns) {
            for (place, value) in places.iter_mut().zip(filter_axis([a, b, c])) {
                *place = i16::try_from(value).ok()?;
            }
        }
        Some(places)
    }

    /// The weights of a transform; `None` where it is that of none.
    #[must_use]
    pub fn weights(places: [i16; PLACES]) -> Option<[i32; 9]> {
        let [a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p] = places.map(i32::from);
        // The corners stand for themselves; half a difference of the middle rows is the middle one.
        let weights = [a, (b - c) / 2, d, (e - i) / 2, (f - g - j + k) / 4, (h - l) / 2, m, (n - o) / 2, p];
        (Self::transform(weights) == Some(places)).then_some(weights)
    }
}

const fn filter_axis([a, b, c]: [i32; 3]) -> [i32; 4] {
    [a, a + b + c, a - b + c, c]
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_code_has_a_place_of_its_own() {
        for (in_ch, out_ch) in [(4, 2_usize), (8, 3), (12, 5)] {
            let order = Winograd { in_ch };
            let channels = (0..out_ch.next_multiple_of(2)).flat_map(|oc| (0..in_ch).map(move |ic| (oc, ic)));
            let all = channels.flat_map(|(oc, ic)| (0..PLACES).map(move |place| order.place(oc, ic, place)));
            let places: BTreeSet<usize> = all.collect();
            assert_eq!(places.len(), order.len(out_ch));
            assert_eq!(places.last(), Some(&(order.len(out_ch) - 1)));
        }
    }

    #[test]
    fn a_transform_gives_its_weights_back_and_one_that_is_none_is_refused() {
        let weights = [-127, 127, 3, -5, -127, 1, 0, 127, -128];
        let mut places = Winograd::transform(weights).unwrap();
        assert_eq!(Winograd::weights(places), Some(weights));
        for index in 0..PLACES {
            places[index] += 1;
            assert_eq!(Winograd::weights(places), None, "place {index}");
            places[index] -= 1;
        }
        assert_eq!(Winograd::transform([i32::from(i16::MAX); 9]), None);
    }
}
