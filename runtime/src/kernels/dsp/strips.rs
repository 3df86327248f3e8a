//! Depthwise 3x3 convolutions of stride 1, two rows of the output at a time.
//!
//! Rows of the input are widened to 16 bits and stood in pairs, one below the other, so that `SMLAD` multiplies two taps of
//! one channel. A strip is what two rows of the output read: of every column, two pairs of each of four channels. It holds what
//! it writes over, so that the output may lie in the input's place, unless some channels are computed twice.

use super::columns::words;
use super::instructions::{First, Row, Strips, TwoRows, pair_rows, pair_taps, run_strips};
use super::layer::saturate;
use super::scale::{self, Scale};
use super::tile::End;
use crate::arithmetic::Requantizer;
use crate::format::{ALL_LINKS, Activation, DepthwiseConv2d, Detail, Element, Links, Shape, TensorRecord, Window};
use crate::kernels::InOut;

/// Words of a column of a strip: two pairs of rows of each of four channels.
pub(super) const COLUMN_WORDS: usize = 8;

/// Words of what the loop is told of a channel: six pairs of taps, bias, twice the multiplier, shift.
pub(super) const RECORD_WORDS: usize = 9;

/// Bytes of the taps of four channels.
pub(super) const QUAD_TAP_BYTES: usize = 72;

/// Words of the records of four channels.
pub(super) const QUAD_WORDS: usize = 4 * RECORD_WORDS;

/// Bytes of scratch with which a layer in [`Quads`](crate::format::Quads) runs two rows of its output at a time, whatever the alignment of the arena;
/// `None` for layers that do not.
///
/// output  its shape, element and bounds
/// ends    what its channels end in
#[must_use]
pub fn strip_bytes(
    window: &Window,
    (shape, element, activation): (Shape, Element, Activation),
    mut ends: impl Iterator<Item = Requantizer>,
) -> Option<usize> {
    needed_bytes(window, shape, element, activation).filter(|_| ends.all(scale::has_end))
}

/// Whether a layer has the scratch to run by strips.
#[must_use]
pub const fn runs_by_strips(op: &DepthwiseConv2d<'_>, output: &TensorRecord) -> bool {
    let needed = needed_bytes(&op.window, output.shape, output.element, op.activation);
    let has_scratch = matches!(needed, Some(bytes) if bytes <= op.weights.scratch.bytes as usize);
    has_scratch && op.weights.packing.is_paired() && Scale::is_right::<ALL_LINKS>(&op.weights.epilogue)
}

/// Whether strips of so many channels may be written over what they hold: no channel is computed twice.
#[must_use]
pub const fn in_place(channels: usize) -> bool {
    channels.is_multiple_of(4)
}

/// As [`strip_bytes`], whatever the channels end in before they saturate.
const fn needed_bytes(window: &Window, shape: Shape, element: Element, activation: Activation) -> Option<usize> {
    match (scratch_words(window, shape), saturate(activation, element)) {
        (None, _) | (_, End::Accumulators) => None,
        // No width has so many columns that these bytes leave 32 bits.
        (Some(words), _) => Some(4 * words + 3),
    }
}

const fn scratch_words(window: &Window, shape: Shape) -> Option<usize> {
    let (width, channels) = (shape.w as usize, shape.c as usize);
    let fits = channels >= 4
        && window.kernel_h == 3
        && window.kernel_w == 3
        && window.stride_h == 1
        && window.stride_w == 1
        && window.is_dense();
    if fits { Some(QUAD_WORDS + 2 * COLUMN_WORDS * (width + 2)) } else { None }
}

/// As [`depthwise_conv2d`](super::depthwise_conv2d) for layers that end in what the loops have; false, and nothing
/// written, for others, and where there is less scratch.
pub(super) fn by_strips<const LINKS: Links>(
    op: &DepthwiseConv2d<'_>,
    operands: InOut<'_>,
    scratch: &mut [u8],
    end: End,
) -> bool {
    let signed = operands.operand_element() == Element::I8;
    let (input, codes, output) = match operands {
        InOut::InPlace(output, _) => (output.shape, None, output),
        InOut::Apart(input, output) => (input.shape, Some(input.bytes), output),
    };
    let width = usize::from(output.shape.w);
    let channels = usize::from(output.shape.c);
    if codes.is_none() && !in_place(channels) {
        return false;
    }
    let Some(count) = scratch_words(&op.window, output.shape).filter(|_| end != End::Accumulators) else {
        return false;
    };
    let strip_words = COLUMN_WORDS * (width + 2);
    let Some((records, strips)) = words(scratch, count).split_first_chunk_mut() else { return false };
    let Some((even, odd)) = strips.split_at_mut_checked(strip_words) else { return false };
    // Columns of padding; the others are written over.
    let zero = op.weights.epilogue.input_zero();
    let padding = u32::from(zero.cast_unsigned()) * 0x1_0001;
    even.fill(padding);
    odd.fill(padding);
    let scale = Scale::new::<LINKS>(&op.weights.epilogue, 0);
    let height = usize::from(output.shape.h);
    let (mut this, mut next) = (even, odd);
    let quads = if Detail::LastQuad.is_in(LINKS) { channels.div_ceil(4) } else { channels / 4 };
    for quad in 0..quads {
        // The last four channels are computed once more where some of them are in no whole four.
        let channel = if Detail::LastQuad.is_in(LINKS) { (4 * quad).min(channels - 4) } else { 4 * quad };
        write_records(op, &scale, (quad, channel), channels, records);
        let [code, ..] = zero.to_le_bytes();
        let rows = Rows { signed, shape: input, window: &op.window, channel, padding: [code; 4] };
        let left = COLUMN_WORDS * usize::from(op.window.pad_left);
        let above = next.get_mut(left + 1..).unwrap_or_default();
        let below = this.get_mut(left..).unwrap_or_default();
        pair_rows::<LINKS>(rows.pair(0), codes.unwrap_or(output.bytes), above, below);
        let mut index = 0;
        while 2 * index < height {
            let count = rows.inside(index + 1).min((height / 2).saturating_sub(index)).max(1);
            run_strips::<LINKS>(Strips {
                rows: rows.pair(index + 1),
                rows_advance: 2 * usize::from(input.w) * channels,
                input: codes.map_or(First::InPlace, First::Apart),
                left,
                this,
                next,
                records,
                width,
                start: 2 * index * width * channels + channel,
                output: output.bytes,
                channels,
                // Of two rows in one place the first is written last.
                row_pitch: if 2 * index + 1 < height { width * channels } else { 0 },
                count,
                end,
                multiplies: scale.multiplies(),
                zero: scale.zero,
            });
            if count % 2 == 1 {
                core::mem::swap(&mut this, &mut next);
            }
            index += count;
        }
    }
    true
}

/// Four channels of the input.
struct Rows<'v> {
    /// Codes have a sign.
    signed: bool,
    /// Extent of the input.
    shape: Shape,
    window: &'v Window,
    channel: usize,
    /// A pixel of padding.
    padding: [u8; 4],
}

impl Rows<'_> {
    /// How many pairs of rows from one on are no padding.
    fn inside(&self, pair: usize) -> usize {
        let y = (2 * pair).checked_sub(self.window.pad_top.into());
        y.map_or(0, |y| usize::from(self.shape.h).saturating_sub(y) / 2)
    }

    /// A pair of rows, those of padding counted.
    fn pair(&self, pair: usize) -> TwoRows<'_> {
        TwoRows {
            signed: self.signed,
            first: self.row(2 * pair),
            second: self.row(2 * pair + 1),
            pitch: self.shape.c.into(),
            count: self.shape.w.into(),
        }
    }

    fn row(&self, padded: usize) -> Row<'_> {
        let y = padded.wrapping_sub(self.window.pad_top.into());
        if y >= self.shape.h.into() {
            return Row::Padding(&self.padding);
        }
        Row::At(y * usize::from(self.shape.w) * usize::from(self.shape.c) + self.channel)
    }
}

/// What the loop is told of four channels, from the first one on.
fn write_records(
    op: &DepthwiseConv2d<'_>,
    scale: &Scale<'_>,
    (quad, first): (usize, usize),
    channels: usize,
    records: &mut [u32; QUAD_WORDS],
) {
    let taps = op.weights.codes.get(QUAD_TAP_BYTES * quad..).and_then(|codes| codes.first_chunk());
    if let Some(taps) = taps {
        pair_taps(taps, records);
    }
    let word = |words: &[u8], at: usize| words.as_chunks().0.get(at).map_or(0, |word| u32::from_le_bytes(*word));
    for (index, record) in records.as_chunks_mut::<RECORD_WORDS>().0.iter_mut().enumerate() {
        let channel = first + index;
        let entry = channel * scale.step;
        let shift = scale.shifts.get(entry).map_or(0, |shift| shift.cast_signed().unsigned_abs());
        let [.., bias, multiplier, end] = record;
        *bias = word(op.weights.bias, channel);
        *multiplier = word(scale.multipliers, entry) << 1;
        *end = (channels as u32) << 8 | u32::from(shift);
    }
}
