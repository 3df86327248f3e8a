//! The loop over the products of Winograd's tiles in Rust. Every build has it, since the instructions want their weights aligned.

use super::tile::End;
use super::tile_twin::{put, saturated, smlad};
use super::winograd_loops::{Products, TileOutput};
use crate::format::{PLACES, Winograd};

/// Twin of the loop over the products of tiles.
pub(super) fn multiply_tiles(products: Products<'_>) {
    let steps = products.tiles.len() / (PLACES * Winograd::TILES);
    for (channel, bias) in products.bias.as_chunks::<4>().0.iter().enumerate() {
        for (tile, output) in products.places.iter().enumerate() {
            let mut sums = [0; PLACES];
            for (place, sum) in sums.iter_mut().enumerate() {
                *sum = product(&products, steps, channel, place, tile);
            }
            // One place stands in the sums of all four pixels.
            sums[5] = sums[5].wrapping_add(i32::from_le_bytes(*bias) << Winograd::SCALED_BY);
            let pixels = output_transform(sums).map(|sum| products.scale.apply(channel, sum, Winograd::SCALED_BY));
            let start = output.start + channel * products.channel_step;
            write(products.output, TileOutput { start, ..*output }, pixels, products.end);
        }
    }
}

/// The product of a tile's place with a channel.
fn product(products: &Products<'_>, steps: usize, channel: usize, place: usize, tile: usize) -> i32 {
    let (words, _) = products.weights.as_chunks::<4>();
    let mut sum = 0;
    for step in 0..steps {
        let weight = ((channel / 2 * PLACES + place) * steps + step) * 2 + channel % 2;
        let input = (place * steps + step) * Winograd::TILES + tile;
        if let (Some(weight), Some(input)) = (words.get(weight), products.tiles.get(input)) {
            sum = smlad(*input, u32::from_le_bytes(*weight), sum);
        }
    }
    sum
}

/// `A^T m A` with the outer rows and columns of `m` doubled: four times the sums of four pixels, row by row.
fn output_transform(m: [i32; PLACES]) -> [i32; 4] {
    let axis =
        |[a, b, c, d]: [i32; 4]| [(a << 1).wrapping_add(b).wrapping_add(c), b.wrapping_sub(c).wrapping_sub(d << 1)];
    let [a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p] = m;
    let [[a, b], [c, d], [e, f], [g, h]] = [[a, b, c, d], [e, f, g, h], [i, j, k, l], [m, n, o, p]].map(axis);
    let [[a, c], [b, d]] = [[a, c, e, g], [b, d, f, h]].map(axis);
    [a, b, c, d]
}

/// Of pixels in one place the first is written last.
fn write(output: &mut [u8], tile: TileOutput, pixels: [i32; 4], end: End) {
    for (index, pixel) in pixels.into_iter().enumerate().rev() {
        let at = tile.start + index / 2 * tile.row_step + index % 2 * tile.column_step;
        match end {
            End::Accumulators => put(output, at, &pixel.to_le_bytes()),
            _ => {
                let [code, ..] = saturated(pixel, end).to_le_bytes();
                put(output, at, &[code]);
            }
        }
    }
}
