//! The inner loops in Rust: what the instructions do, lane by lane.

use super::instructions::Rows;
use super::lanes::{LanesEnd, LanesTile};
use super::tile::Tile;
use crate::arithmetic::requantize;
use crate::format::{VECTOR, WeightBits};

/// Twin of the loops over a tile.
pub(super) fn multiply<const LINKS: u64, const PIXELS: usize>(tile: Tile<'_, PIXELS>) {
    let vector_len = if tile.bits == WeightBits::Four { 2 * VECTOR } else { VECTOR };
    let vectors = tile.channel_len / vector_len;
    for channel in 0..tile.channels {
        let bias = tile.bias.as_chunks().0.get(channel).map_or(0, |bias| i32::from_le_bytes(*bias));
        let requantizer = tile.end.epilogue.channel(if tile.end.each { channel } else { 0 });
        for (pixel, column) in tile.columns.iter().enumerate() {
            let mut acc = bias;
            for vector in 0..vectors {
                let start = (channel / 2 * vectors + vector) * 2 + channel % 2;
                let weights = tile.weights.get(VECTOR * start..).unwrap_or_default();
                let inputs = column.get(vector_len * vector..).unwrap_or_default();
                for (index, x) in inputs.iter().take(vector_len).enumerate() {
                    acc = acc.wrapping_add(i32::from(x.cast_signed()) * weight(weights, tile.bits, index));
                }
            }
            let [code, ..] = requantizer.apply::<LINKS>(acc, tile.end.activation).to_le_bytes();
            if let Some(target) = tile.output.get_mut(pixel * tile.pitch + channel) {
                *target = code;
            }
        }
    }
}

/// A weight of a vector.
fn weight(bytes: &[u8], bits: WeightBits, index: usize) -> i32 {
    let byte = bytes.get(index % VECTOR).copied().unwrap_or(0);
    let code = match bits {
        WeightBits::Four if index < VECTOR => (byte << 4).cast_signed() >> 4,
        WeightBits::Four => byte.cast_signed() >> 4,
        _ => byte.cast_signed(),
    };
    code.into()
}

/// Twin of the loop over lanes: two products are summed in 16 bits.
pub(super) fn multiply_lanes(mut tile: LanesTile<'_>) {
    let places = tile.taps.places();
    for channel in 0..tile.channels {
        let start = channel / VECTOR * VECTOR * places.len() + channel % VECTOR;
        let product = |tap: usize| {
            let weight = tile.weights.get(start + VECTOR * tap).map_or(0, |weight| i16::from(weight.cast_signed()));
            input(&tile, tap, channel).wrapping_mul(weight)
        };
        let mut acc = tile.bias.get(channel).map_or(0, |bias| bias.cast_signed());
        for tap in (0..places.len()).step_by(2) {
            acc = acc.wrapping_add(product(tap).wrapping_add(product(tap + 1)).into());
        }
        match &mut tile.end {
            LanesEnd::Accumulators(accumulators) => {
                if let Some(target) = accumulators.get_mut(channel) {
                    *target = acc.cast_unsigned();
                }
            }
            LanesEnd::Codes { left_shifts, activation, output } => {
                let left = left_shifts.get(channel).map_or(0, |shift| shift.cast_signed());
                let [code, ..] = requantize(acc, -left as i8, *activation).to_le_bytes();
                if let Some(target) = output.get_mut(channel) {
                    *target = code;
                }
            }
        }
    }
}

/// The input of a tap, with a sign.
fn input(tile: &LanesTile<'_>, tap: usize, channel: usize) -> i16 {
    let place = tile.taps.places().get(tap).copied().unwrap_or(PADDING);
    let byte = match place {
        PADDING => tile.taps.zeros.get(channel),
        index => tile.taps.input.get(tile.base + index as usize + channel),
    };
    let code = byte.map_or(0, |byte| *byte ^ sign_flip(tile.taps.unsigned));
    code.cast_signed().into()
}

/// No index of an input.
const PADDING: u32 = u32::MAX;

/// The place of a tap that is padding.
pub(super) const fn padding(_: &[u8], _: &[u8]) -> u32 {
    PADDING
}

/// Subtracting 128 from a byte turns its highest bit.
const fn sign_flip(unsigned: bool) -> u8 {
    if unsigned { 0x80 } else { 0 }
}

/// Twin of the loops that copy.
pub(super) fn copy<const PIXELS: usize>(rows: Rows<'_>, target: &mut [u8], row_step: usize, pixel_step: usize) {
    let flip = sign_flip(rows.unsigned);
    for (row, pixel) in (0..rows.count).flat_map(|row| (0..PIXELS).map(move |pixel| (row, pixel))) {
        let source = rows.bytes.get(row * rows.step + pixel * rows.pixel_step..).unwrap_or_default();
        let target = target.get_mut(row * row_step + pixel * pixel_step..).unwrap_or_default();
        for (target, byte) in target.iter_mut().zip(source).take(rows.len) {
            *target = byte ^ flip;
        }
    }
}

/// Twin of the loop that fills.
pub(super) fn fill(target: &mut [u8], value: u8) {
    target.fill(value);
}
