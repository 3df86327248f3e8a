//! The inner loops in Rust: what the instructions do, lane by lane.

use super::instructions::{Columns, Runs, StripRows, strip_of};
use super::lanes::{Inputs, LanesEnd, LanesFilters, Taps};
use super::strips::SPAN;
use super::tile::Filters;
use crate::arithmetic::{multiply, requantize, saturate};
use crate::format::{Links, VECTOR, WeightBits};

/// Twin of the loops over a tile.
#[derive(Debug)]
pub(super) struct Loop<'a> {
    filters: Filters<'a>,
}

impl<'a> Loop<'a> {
    /// Of any filters.
    pub(super) const fn new<const LINKS: Links>(filters: &Filters<'a>) -> Option<Self> {
        Some(Self { filters: *filters })
    }

    pub(super) fn run<const LINKS: Links, const PIXELS: usize>(&self, inputs: &[u8], output: &mut [u8]) {
        let channels = self.filters.channels;
        for (pixel, output) in output.chunks_exact_mut(channels.max(1)).take(PIXELS).enumerate() {
            let column = inputs.get(pixel * self.filters.column_step..).unwrap_or_default();
            for (channel, target) in output.iter_mut().enumerate() {
                let requantizer = self.filters.end.epilogue.channel(if self.filters.end.each { channel } else { 0 });
                let code = requantizer.apply::<LINKS>(self.dot(column, channel), self.filters.end.activation);
                [*target, ..] = code.to_le_bytes();
            }
        }
    }

    /// The accumulator of a channel.
    fn dot(&self, column: &[u8], channel: usize) -> i32 {
        let Filters { bits, weights, channel_len, bias, .. } = self.filters;
        let vector_len = if bits == WeightBits::Four { 2 * VECTOR } else { VECTOR };
        let vectors = channel_len / vector_len;
        let mut acc = bias.as_chunks().0.get(channel).map_or(0, |bias| i32::from_le_bytes(*bias));
        for (vector, inputs) in column.chunks_exact(vector_len).take(vectors).enumerate() {
            let start = (channel / 2 * vectors + vector) * 2 + channel % 2;
            let weights = weights.get(VECTOR * start..).unwrap_or_default();
            for (index, x) in inputs.iter().enumerate() {
                acc = acc.wrapping_add(i32::from(x.cast_signed()) * weight(weights, bits, index));
            }
        }
        acc
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
#[derive(Debug)]
pub(super) struct LanesLoop;

impl LanesLoop {
    /// Of any filters and taps.
    pub(super) const fn new<const LINKS: Links>(_: &LanesFilters<'_>, _: &Taps<'_>) -> Option<Self> {
        Some(Self)
    }

    #[expect(clippy::unused_self, reason = "the loop of instructions has its constants there")]
    pub(super) fn run(
        &self,
        filters: &LanesFilters<'_>,
        taps: (&Taps<'_>, &Inputs<'_>),
        ends: &mut [u32],
        (base, pixels): (usize, usize),
        output: &mut [u8],
    ) {
        for (pixel, output) in (0..pixels).zip(output.chunks_mut(filters.channels.max(1))) {
            for channel in 0..filters.channels {
                let acc = dot(filters, taps, base.wrapping_add(pixel * filters.pixel_step), channel);
                let Some(code) = code(filters.end, ends, channel, acc) else {
                    if let Some(end) = ends.get_mut(channel) {
                        *end = acc.cast_unsigned();
                    }
                    continue;
                };
                if let Some(target) = output.get_mut(channel) {
                    [*target, ..] = code.to_le_bytes();
                }
            }
        }
    }
}

/// The code of a channel; `None` where accumulators are wanted.
fn code(end: LanesEnd, ends: &[u32], channel: usize, acc: i32) -> Option<i32> {
    let entry = |place: usize| ends.get(place).map_or(0, |end| end.cast_signed());
    match end {
        LanesEnd::Shift(activation) => Some(requantize(acc, -entry(channel) as i8, activation)),
        LanesEnd::Multiply(activation, zero) => {
            let place = channel / VECTOR * 2 * VECTOR + channel % VECTOR;
            let product = multiply(acc, entry(place), entry(place + VECTOR) as i8);
            Some(saturate(product.saturating_add(zero.into()), activation))
        }
        LanesEnd::Accumulators => None,
    }
}

/// The accumulator of a channel of a pixel.
fn dot(filters: &LanesFilters<'_>, taps: (&Taps<'_>, &Inputs<'_>), base: usize, channel: usize) -> i32 {
    let count = taps.0.places().len();
    let start = channel / VECTOR * VECTOR * count.next_multiple_of(2) + channel % VECTOR;
    let product = |tap: usize| {
        let weight = filters.weights.get(start + VECTOR * tap).map_or(0, |weight| i16::from(weight.cast_signed()));
        if tap < count { input(taps, base, tap, channel).wrapping_mul(weight) } else { 0 }
    };
    let bias = filters.bias.get(channel).map_or(0, |bias| bias.cast_signed());
    (0..count).step_by(2).fold(bias, |acc, tap| acc.wrapping_add(product(tap).wrapping_add(product(tap + 1)).into()))
}

/// The input of a tap, with a sign.
fn input((taps, inputs): (&Taps<'_>, &Inputs<'_>), base: usize, tap: usize, channel: usize) -> i16 {
    let place = taps.places().get(tap).map_or(PADDING, |place| place.wrapping_add(base as u32));
    let byte = match place {
        PADDING => inputs.zeros.get(channel),
        index => inputs.codes.get(index as usize + channel),
    };
    let code = byte.map_or(0, |byte| *byte ^ sign_flip(taps.unsigned));
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
pub(super) fn copy<const PIXELS: usize>(runs: &Runs, len: usize, source: &[u8], target: &mut [u8]) {
    let flip = sign_flip(runs.unsigned);
    for (run, pixel) in (0..runs.count).flat_map(|run| (0..PIXELS).map(move |pixel| (run, pixel))) {
        let source = source.get(run * runs.step + pixel * runs.pixel_step..).unwrap_or_default();
        let target = target.get_mut(run * runs.target_step + pixel * runs.target_pixel_step..).unwrap_or_default();
        for (target, byte) in target.iter_mut().zip(source).take(len) {
            *target = byte ^ flip;
        }
    }
}

/// Twin of the loop that fills.
pub(super) fn fill(target: &mut [u8], value: u8) {
    target.fill(value);
}

/// Twin of the loop that negates.
pub(super) fn negate(codes: &[u8], target: &mut [u32], len: usize) {
    for (target, code) in target.iter_mut().zip(codes).take(len) {
        *target = (-i32::from(code.cast_signed())).cast_unsigned();
    }
}

/// Twin of the loop that fills strips.
pub(super) fn load_columns(columns: &Columns, source: &[u8], target: &mut [u8]) {
    let flip = sign_flip(columns.unsigned);
    for (pixel, channel) in (0..columns.count).flat_map(|pixel| (0..columns.channels).map(move |c| (pixel, c))) {
        let code = source.get(pixel * columns.pitch + channel).copied().unwrap_or(0);
        if let Some(target) = target.get_mut(strip_of(channel) * columns.step + pixel * SPAN) {
            *target = code ^ flip;
        }
    }
}

/// Twin of the loop that turns weights.
pub(super) fn turn(weights: &mut [u8; VECTOR * VECTOR]) {
    weights.as_chunks_mut::<SPAN>().0.iter_mut().for_each(|column| column.rotate_right(1));
}

/// Twin of the loop that turns them by two.
pub(super) fn turn_by_two(weights: &mut [u8; VECTOR * VECTOR]) {
    weights.as_chunks_mut::<SPAN>().0.iter_mut().for_each(|column| column.rotate_right(2));
}

/// Twin of the loops over strips.
pub(super) fn run_strips<const LINKS: Links>(rows: StripRows<'_>) {
    let from = |bytes: &'_ [u8], start: usize| {
        bytes.get(start..).and_then(|bytes| bytes.first_chunk::<VECTOR>().copied()).unwrap_or_default()
    };
    for (pixel, channel) in (0..rows.pixels).flat_map(|pixel| (0..rows.channels).map(move |c| (pixel, c))) {
        let window = from(rows.strips, strip_of(channel) * rows.step + pixel * rows.pixel_step);
        let mut weights = from(rows.weights, strip_of(channel) * VECTOR);
        let bias = rows.bias.get(channel).map_or(0, |bias| bias.cast_signed());
        for row in [Some(0), rows.below].into_iter().flatten() {
            let product = |(x, w): (u8, u8)| i32::from(x.cast_signed()) * i32::from(w.cast_signed());
            let acc = window.into_iter().zip(weights).map(product).fold(bias, i32::wrapping_add);
            let code = code(rows.end, rows.ends, channel, acc).unwrap_or(0);
            if let Some(target) = rows.output.get_mut(row + pixel * rows.pitch + channel) {
                [*target, ..] = code.to_le_bytes();
            }
            weights.as_chunks_mut::<SPAN>().0.iter_mut().for_each(|column| column.rotate_right(1));
        }
    }
}
