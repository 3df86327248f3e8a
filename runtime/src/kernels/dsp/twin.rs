//! The other inner loops in Rust: what the instructions do, word by word.

use super::CONV_COLUMNS;
use super::affine_binary::ScaledSum;
use super::instructions::{First, PaddedRun, Row, RunQuads, Strips, Sum, TwoRows, Windows};
use super::strips::{COLUMN_WORDS, QUAD_TAP_BYTES, QUAD_WORDS, RECORD_WORDS};
use super::taps::Taps;
use super::tile::End;
pub(super) use super::tile_twin::{TileLoop, dot};
use super::tile_twin::{extend, put, saturated, smlad};
use super::winograd_loops::{Products, Run};
use super::winograd_twin;
use crate::arithmetic::multiply as multiply_by;
use crate::format::{Element, Links, Quads, Winograd};

/// Quads of codes, as many as every `stride`-th word of the target holds.
fn widen_quads(element: Element, bytes: &[u8], stride: usize, target: &mut [u32]) {
    let words = bytes.chunks_exact(4 * element.bytes()).flat_map(|quad| steps(element, quad));
    for (word, target) in words.zip(target.iter_mut().step_by(stride.max(1))) {
        *target = word;
    }
}

/// Twin of the loops over a run.
pub(super) fn widen_run<const LINKS: Links>(run: &PaddedRun<'_>, quads: RunQuads, stride: usize, target: &mut [u32]) {
    let words = 2 * (quads.before + quads.inside + quads.behind);
    target.iter_mut().step_by(stride.max(1)).take(words).for_each(|word| *word = run.zeros());
    let inside = target.get_mut(2 * quads.before * stride..).unwrap_or_default();
    widen_quads(run.codes.element(), run.codes.bytes(), stride, inside);
}

/// Twin of the loop over windows.
pub(super) fn widen_windows<const LINKS: Links>(windows: Windows<'_>, last: usize, target: &mut [u32]) {
    let Windows { element, bytes, starts, step, rows, quads } = windows;
    for (row, target) in target.chunks_mut((2 * CONV_COLUMNS * quads).max(1)).take(rows).enumerate() {
        for (pixel, start) in starts.iter().enumerate() {
            let bytes = bytes.get(last.min(*start) + row * step..).unwrap_or_default();
            widen_quads(element, bytes, CONV_COLUMNS, target.get_mut(pixel..).unwrap_or_default());
        }
    }
}

/// Four codes as the inputs of two steps.
fn steps(element: Element, quad: &[u8]) -> [u32; 2] {
    let word = |index: usize| quad.as_chunks().0.get(index).map_or(0, |bytes| u32::from_le_bytes(*bytes));
    let (a, b) = (word(0), word(1));
    match element {
        Element::I16 => [a & 0xffff | b << 16, a >> 16 | b & 0xffff_0000],
        _ => [a, a.rotate_right(8)].map(|word| extend(word, element == Element::I8)),
    }
}

/// Twin of the depthwise loop.
pub(super) fn depthwise<const LINKS: Links>(taps: Taps<'_>) {
    let order = Quads { taps: taps.kernel_h * taps.kernel_w, channels: taps.channels() };
    let weight = |channel: usize, tap: usize| {
        let place = order.place(channel, tap);
        taps.weights.as_chunks().0.get(place).map_or(0, |code| i32::from(i16::from_le_bytes(*code)))
    };
    let input = |at: usize| {
        let byte = taps.input.get(at).copied().unwrap_or(0);
        if taps.signed { i32::from(byte.cast_signed()) } else { byte.into() }
    };
    for (channel, bias) in taps.bias.as_chunks().0.iter().enumerate() {
        let mut acc = i32::from_le_bytes(*bias);
        for row in 0..taps.rows {
            for column in 0..taps.columns {
                let x = input(row * taps.row_step + column * taps.column_step + channel);
                acc = acc.wrapping_add(x * weight(channel, row * taps.kernel_w + column));
            }
        }
        if taps.end == End::Accumulators {
            put(taps.output, 4 * channel, &acc.to_le_bytes());
        } else {
            let [code, ..] = saturated(taps.scale.apply(channel, acc, 0), taps.end).to_le_bytes();
            put(taps.output, channel, &[code]);
        }
    }
}

/// Twin of the pairing of rows.
pub(super) fn pair_rows<const LINKS: Links>(rows: &TwoRows<'_>, codes: &[u8], above: &mut [u32], below: &mut [u32]) {
    let pixel = |row: Row<'_>, column: usize| {
        let bytes = match row {
            Row::At(start) => codes.get(start + column * rows.pitch..).and_then(|row| row.first_chunk()),
            Row::Padding(pixel) => Some(pixel),
        };
        bytes.map_or(0, |bytes| u32::from_le_bytes(*bytes))
    };
    for column in 0..rows.count {
        let (first, second) = (pixel(rows.first, column), pixel(rows.second, column));
        for channel in 0..4 {
            let code = |word: u32| extend(word.rotate_right(8 * channel), rows.signed) & 0xffff;
            let place = column * COLUMN_WORDS + 2 * channel as usize;
            for target in [&mut *above, &mut *below] {
                if let Some(word) = target.get_mut(place) {
                    *word = code(first) | code(second) << 16;
                }
            }
        }
    }
}

/// Twin of the pairing of taps.
pub(super) fn pair_taps(taps: &[u8; QUAD_TAP_BYTES], records: &mut [u32; QUAD_WORDS]) {
    let tap = |channel: usize, row: usize, column: usize| {
        let place = 4 * (3 * row + column) + [0, 2, 1, 3][channel];
        taps.as_chunks().0.get(place).map_or(0, |code| u32::from(u16::from_le_bytes(*code)))
    };
    for (channel, record) in records.chunks_exact_mut(RECORD_WORDS).enumerate() {
        for (index, word) in record.iter_mut().enumerate().take(6) {
            let (row, column) = (index % 2, index / 2);
            *word = tap(channel, row, column) | tap(channel, row + 1, column) << 16;
        }
    }
}

/// A row so many bytes behind another one.
const fn advance(row: Row<'_>, bytes: usize) -> Row<'_> {
    match row {
        Row::At(start) => Row::At(start + bytes),
        Row::Padding(_) => row,
    }
}

/// Twin of the loop over strips.
pub(super) fn run_strips<const LINKS: Links>(strips: Strips<'_>) {
    let Strips { rows, mut this, mut next, output, .. } = strips;
    for index in 0..strips.count {
        let codes = match strips.input {
            First::InPlace => &*output,
            First::Apart(codes) => codes,
        };
        let above = this.get_mut(strips.left + 1..).unwrap_or_default();
        let below = next.get_mut(strips.left..).unwrap_or_default();
        let bytes = index * strips.rows_advance;
        let (first, second) = (advance(rows.first, bytes), advance(rows.second, bytes));
        pair_rows::<LINKS>(&TwoRows { first, second, ..rows }, codes, above, below);
        for (channel, record) in strips.records.chunks_exact(RECORD_WORDS).enumerate() {
            let start = strips.start + 2 * index * strips.row_pitch + channel;
            let output = output.get_mut(start..).unwrap_or_default();
            let columns = this.get(2 * channel..).unwrap_or_default();
            for x in 0..strips.width {
                let columns = columns.get(x * COLUMN_WORDS..).unwrap_or_default();
                let zero = strips.multiplies.then_some(strips.zero);
                for (row, acc) in two_rows(record, columns, zero) {
                    let [code, ..] = saturated(acc, strips.end).to_le_bytes();
                    put(output, x * strips.channels + row * strips.row_pitch, &[code]);
                }
            }
        }
        core::mem::swap(&mut this, &mut next);
    }
}

/// The second and the first row of one pixel, shifted; multiplied, where there is a zero point to add.
fn two_rows(record: &[u32], columns: &[u32], zero: Option<i32>) -> [(usize, i32); 2] {
    let [w0, v0, w1, v1, w2, v2, bias, multiplier, end] = *record else { return [(0, 0); 2] };
    let mut acc = [bias.cast_signed(); 2];
    for ((w, v), column) in [(w0, v0), (w1, v1), (w2, v2)].into_iter().zip(columns.chunks(COLUMN_WORDS)) {
        let pair = |index: usize| column.get(index).copied().unwrap_or(0);
        // The first row's third tap is the high half of `v`, the second row's first one the low half of `w`.
        acc[0] = smlad(pair(0), w, smlad(pair(1) & 0xffff, v >> 16, acc[0]));
        acc[1] = smlad(pair(0) >> 16, w & 0xffff, smlad(pair(1), v, acc[1]));
    }
    let shift = (end & 0xff).min(31);
    let scaled = |acc: i32| match zero {
        Some(zero) => multiply_by(acc, (multiplier >> 1).cast_signed(), 0_i8.wrapping_sub_unsigned(shift as u8)) + zero,
        None => acc >> shift,
    };
    [(1, scaled(acc[1])), (0, scaled(acc[0]))]
}

/// Twin of the addition.
pub(super) fn add<const LINKS: Links>(sum: &Sum, a: &First<'_>, b: &[u8], output: &mut [u8], quads: usize) {
    let factor = |half: u32| i32::from((half as u16).cast_signed());
    let (a_factor, b_factor) = (factor(sum.factors), factor(sum.factors >> 16));
    code_by_code(sum.signed, a, b, output, quads, |a, b| {
        saturated((a * a_factor + b * b_factor + sum.rounding) >> (sum.right_shift & 31), sum.end)
    });
}

/// Twin of the addition in the affine scheme.
pub(super) fn add_scaled<const LINKS: Links>(
    sum: &ScaledSum,
    a: &First<'_>,
    b: &[u8],
    output: &mut [u8],
    quads: usize,
) {
    code_by_code(sum.signed, a, b, output, quads, |a, b| sum.code(a, b));
}

/// Writes what two codes give, over quads of them.
fn code_by_code(
    signed: bool,
    a: &First<'_>,
    b: &[u8],
    output: &mut [u8],
    quads: usize,
    code: impl Fn(i32, i32) -> i32,
) {
    let value = |byte: u8| if signed { i32::from(byte.cast_signed()) } else { byte.into() };
    for (index, (b, output)) in b.iter().zip(output).enumerate().take(4 * quads) {
        let a = match a {
            First::InPlace => *output,
            First::Apart(a) => a.get(index).copied().unwrap_or(0),
        };
        [*output, ..] = code(value(a), value(*b)).to_le_bytes();
    }
}

/// Twin of the sum over pixels.
pub(super) fn sum_pixels<const LINKS: Links>(signed: bool, input: &[u8], pitch: usize, pixels: usize) -> [u32; 2] {
    let mut sums = [[0_u16; 2]; 2];
    for pixel in 0..pixels {
        let word =
            input.get(pixel * pitch..).and_then(|input| input.first_chunk()).map_or(0, |w| u32::from_le_bytes(*w));
        for (sums, word) in sums.iter_mut().zip([word, word.rotate_right(8)]) {
            let codes = extend(word, signed);
            for (sum, code) in sums.iter_mut().zip([codes as u16, (codes >> 16) as u16]) {
                *sum = sum.wrapping_add(code);
            }
        }
    }
    sums.map(|[low, high]| u32::from(low) | u32::from(high) << 16)
}

/// Twin of the transform of tiles.
#[inline(never)]
pub(super) fn transform<const LINKS: Links>(run: Run<'_>) {
    let at = |row: usize, column: usize, half: usize| (row * Winograd::COLUMNS + column) * 2 + half;
    for quad in 0..run.channels / 4 {
        for column in 0..run.inside {
            let word = |row: &[u8]| {
                let bytes = row.get(column * run.channels + 4 * quad..).and_then(|row| row.first_chunk());
                bytes.map_or(0, |bytes| u32::from_le_bytes(*bytes))
            };
            let words = run.rows.map(word);
            for half in [0, 1] {
                let codes = words.map(|word| extend(word.rotate_right(8 * half), run.signed));
                for (row, value) in tile_axis(codes).into_iter().enumerate() {
                    if let Some(place) = run.columns.get_mut(at(row, run.left + column, half as usize)) {
                        *place = value;
                    }
                }
            }
        }
        for (row, tile, half) in (0..4).flat_map(|r| (0..run.count).flat_map(move |t| [(r, t, 0), (r, t, 1)])) {
            let column = |x: usize| run.columns.get(at(row, 2 * tile + x, half)).copied().unwrap_or(0);
            for (x, value) in tile_axis([0, 1, 2, 3].map(column)).into_iter().enumerate() {
                let place = ((4 * row + x) * run.channels / 2 + 2 * quad + half) * Winograd::TILES + tile;
                if let Some(place) = run.tiles.get_mut(place) {
                    *place = value;
                }
            }
        }
    }
}

/// `B^T d` of pairs of codes.
fn tile_axis([a, b, c, d]: [u32; 4]) -> [u32; 4] {
    let halves = |a: u32, b: u32, f: fn(u16, u16) -> u16| {
        u32::from(f(a as u16, b as u16)) | u32::from(f((a >> 16) as u16, (b >> 16) as u16)) << 16
    };
    let sub = |a, b| halves(a, b, u16::wrapping_sub);
    [sub(a, c), halves(b, c, u16::wrapping_add), sub(c, b), sub(b, d)]
}

/// Twin of the loop over the products of tiles.
pub(super) fn multiply_tiles<const LINKS: Links>(products: Products<'_>) {
    winograd_twin::multiply_tiles(products);
}
