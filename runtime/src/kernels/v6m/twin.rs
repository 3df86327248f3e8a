//! The inner loops in Rust: the sums that the instructions give.

use super::instructions::{Dots, Rows};
use super::taps::Taps;
use super::tile::{CHANNELS, PIXELS, Target, Tile};
use crate::format::Element;

/// Twin of the loop over a tile.
pub(super) fn multiply(mut tile: Tile<'_>) {
    let filters = tile.weights.chunks_exact((CHANNELS * tile.columns.len()).max(1));
    for (four, (biases, weights)) in tile.biases.as_chunks::<CHANNELS>().0.iter().zip(filters).enumerate() {
        let mut acc = biases.map(|bias| tile.corrections.map(|correction| bias.wrapping_add(correction)));
        for (word, weights) in tile.columns.iter().zip(weights.as_chunks::<CHANNELS>().0) {
            for (acc, weight) in acc.iter_mut().zip(weights) {
                let product = word.wrapping_mul((*weight).into());
                acc[0] = acc[0].wrapping_add((product & 0xffff).cast_signed());
                acc[1] = acc[1].wrapping_add((product >> 16).cast_signed());
            }
        }
        for (index, acc) in acc.iter().enumerate() {
            put(&mut tile.target, CHANNELS * four + index, tile.pitch, acc);
        }
    }
}

/// Twin of the loops over a depthwise window.
pub(super) fn multiply_taps(mut taps: Taps<'_>) {
    for (channel, bias) in taps.biases.iter().take(CHANNELS * taps.fours()).enumerate() {
        let mut acc = *bias;
        for row in 0..taps.counts[1] {
            for column in 0..taps.counts[0] {
                let place = |steps: [usize; 2]| row * steps[1] + column * steps[0] + channel;
                let x = taps.input.get(place(taps.input_steps)).copied().unwrap_or(0);
                let x = if taps.element == Element::I8 { i32::from(x.cast_signed()) } else { x.into() };
                let w = taps.weights.get(place(taps.weight_steps)).copied().unwrap_or(0);
                acc = acc.wrapping_add(x * i32::from(w.cast_signed()));
            }
        }
        put(&mut taps.target, channel, 0, &[acc]);
    }
}

/// The pixels of a channel.
fn put(target: &mut Target<'_>, channel: usize, pitch: usize, acc: &[i32]) {
    match target {
        Target::Codes { bytes, shifts, shift_step, limits } => {
            let shift = if *shift_step == 0 { channel % CHANNELS } else { channel };
            let shift = shifts.get(shift).copied().unwrap_or(0);
            for (pixel, acc) in acc.iter().enumerate() {
                let [code, ..] = (acc >> shift.min(31)).min(limits[1]).max(limits[0]).to_le_bytes();
                if let Some(byte) = bytes.get_mut(pixel * pitch + channel) {
                    *byte = code;
                }
            }
        }
        Target::Accumulators(accumulators) => {
            for (target, acc) in accumulators.iter_mut().skip(channel * acc.len()).zip(acc) {
                *target = *acc;
            }
        }
    }
}

/// Twin of the loop over bytes and four channels.
pub(super) fn dots(input: &[u8], weights: &[u8], flip: u8) -> Dots {
    let mut dots = Dots::default();
    for (x, weights) in input.iter().zip(weights.as_chunks::<CHANNELS>().0) {
        let x = i32::from(x ^ flip);
        dots.inputs = dots.inputs.wrapping_add(x);
        for (sum, weight) in dots.sums.iter_mut().zip(weights) {
            *sum = sum.wrapping_add(x * i32::from(*weight));
        }
    }
    dots
}

/// Twin of the loop that spreads bytes.
pub(super) fn spread(rows: Rows<'_>, half: usize, words: &mut [u32]) {
    let above = if half == 0 { 0 } else { 16 };
    let bytes = (0..rows.count).flat_map(|row| rows.bytes.iter().skip(row * rows.step).take(rows.len));
    for (word, byte) in words.iter_mut().zip(bytes) {
        *word = *word & !(0xffff << above) | u32::from(*byte) << above;
    }
}

/// Twin of the loop that flips words.
pub(super) fn flip_and_sum(words: &mut [u32], flip: u32) -> u32 {
    const { assert!(PIXELS == 2) };
    let mut sum = 0_u32;
    for word in words {
        *word ^= flip;
        sum = sum.wrapping_add(*word);
    }
    sum
}
