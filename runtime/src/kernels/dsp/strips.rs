//! Depthwise 3x3 convolutions of stride 1, two rows of the output at a time.
//!
//! Rows of the input are widened to 16 bits and stood in pairs, one below the other, so that `SMLAD` multiplies two taps of
//! one channel. A strip is what two rows of the output read: of every column, two pairs of each of four channels.

use super::columns::words;
use super::instructions::{PairOfRows, Strips, pair_rows, run_strips};
use super::scale::Scale;
use super::tile::End;
use crate::format::{DepthwiseConv2d, Element, Quads, Shape, Window};
use crate::kernels::{View, ViewMut};

/// Words of a column of a strip: two pairs of rows of each of four channels.
pub(super) const COLUMN_WORDS: usize = 8;

/// Words of what the loop is told of a channel: six pairs of taps, bias, shift, twice the multiplier.
pub(super) const RECORD_WORDS: usize = 9;

/// Words of the records of four channels.
const QUAD_WORDS: usize = 4 * RECORD_WORDS;

/// Bytes of scratch with which a layer in [`Quads`] runs two rows of its output at a time, whatever the alignment of the arena;
/// `None` for layers that do not.
#[must_use]
pub fn strip_bytes(window: &Window, output: Shape) -> Option<usize> {
    let words = scratch_words(window, output.w.into())?;
    words.checked_mul(4)?.checked_add(3)
}

fn scratch_words(window: &Window, width: usize) -> Option<usize> {
    let [kernel, stride, dilation] = [
        [window.kernel_h, window.kernel_w],
        [window.stride_h, window.stride_w],
        [window.dilation_h, window.dilation_w],
    ];
    let fits = kernel == [3, 3] && stride == [1, 1] && dilation == [1, 1];
    fits.then(|| QUAD_WORDS + 2 * COLUMN_WORDS * (width + 2))
}

/// As [`depthwise_conv2d`](super::depthwise_conv2d) for layers that end in what the loops have; false, and nothing
/// written, for others, and where there is less scratch.
pub(super) fn by_strips<const LINKS: u64>(
    op: &DepthwiseConv2d<'_>,
    input: &View<'_>,
    output: &mut ViewMut<'_>,
    scratch: &mut [u8],
    end: End,
) -> bool {
    let width = usize::from(output.shape.w);
    let whole = output.first_row == 0 && input.first_row == 0 && output.bytes.len() == output.shape.len();
    let Some(count) = scratch_words(&op.window, width).filter(|_| whole && end != End::Accumulators) else {
        return false;
    };
    let strip_words = COLUMN_WORDS * (width + 2);
    let Some((records, strips)) = words(scratch, count).split_at_mut_checked(QUAD_WORDS) else { return false };
    let Some((even, odd)) = strips.split_at_mut_checked(strip_words) else { return false };
    // Columns of padding; the others are written over.
    let zero = op.weights.epilogue.input_zero();
    let padding = u32::from(zero.cast_unsigned()) * 0x1_0001;
    even.fill(padding);
    odd.fill(padding);
    let scale = Scale::new::<LINKS>(&op.weights.epilogue, 0);
    let (channels, height) = (usize::from(output.shape.c), usize::from(output.shape.h));
    let (mut this, mut next) = (even, odd);
    for quad in 0..channels / 4 {
        write_records(op, &scale, quad, channels, records);
        let [code, ..] = zero.to_le_bytes();
        let rows = Rows { input, window: &op.window, channel: 4 * quad, padding: [code; 4] };
        pair_rows::<LINKS>(rows.pair(0, next, this));
        let mut index = 0;
        while 2 * index < height {
            let count = rows.inside(index + 1).min((height / 2).saturating_sub(index)).max(1);
            let start = 2 * index * width * channels + 4 * quad;
            run_strips::<LINKS>(Strips {
                rows: rows.pair(index + 1, &mut [], &mut []),
                rows_advance: 2 * input.row_len(),
                left: COLUMN_WORDS * usize::from(op.window.pad_left),
                this,
                next,
                records,
                width,
                output: output.bytes.get_mut(start..).unwrap_or_default(),
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
    input: &'v View<'v>,
    window: &'v Window,
    channel: usize,
    /// A pixel of padding.
    padding: [u8; 4],
}

impl Rows<'_> {
    /// How many pairs of rows from one on are no padding.
    fn inside(&self, pair: usize) -> usize {
        let y = (2 * pair).checked_sub(self.window.pad_top.into());
        y.map_or(0, |y| usize::from(self.input.shape.h).saturating_sub(y) / 2)
    }

    /// A pair of rows, those of padding counted, as the lower rows of one strip and the upper ones of the next.
    fn pair<'t>(&'t self, pair: usize, above: &'t mut [u32], below: &'t mut [u32]) -> PairOfRows<'t> {
        let from = COLUMN_WORDS * usize::from(self.window.pad_left);
        let (first, first_pitch) = self.row(2 * pair);
        let (second, second_pitch) = self.row(2 * pair + 1);
        PairOfRows {
            signed: self.input.element() == Element::I8,
            first,
            second,
            first_pitch,
            second_pitch,
            count: self.input.shape.w.into(),
            above: above.get_mut(from + 1..).unwrap_or_default(),
            below: below.get_mut(from..).unwrap_or_default(),
        }
    }

    /// A row with its pitch; of padding, one pixel.
    fn row(&self, padded: usize) -> (&[u8], usize) {
        let y = padded.wrapping_sub(self.window.pad_top.into());
        if y >= self.input.shape.h.into() {
            return (&self.padding, 0);
        }
        let start = self.input.place(y, 0) + self.channel;
        (self.input.codes.bytes().get(start..).unwrap_or_default(), self.input.shape.c.into())
    }
}

/// What the loop is told of four channels.
fn write_records(op: &DepthwiseConv2d<'_>, scale: &Scale<'_>, quad: usize, channels: usize, records: &mut [u32]) {
    let (codes, _) = op.weights.codes.as_chunks::<2>();
    let order = Quads { taps: 9 };
    for (index, record) in records.chunks_exact_mut(RECORD_WORDS).enumerate() {
        let channel = 4 * quad + index;
        let tap = |ky: usize, kx: usize| {
            let code = codes.get(order.place(channel, 3 * ky + kx)).copied().unwrap_or_default();
            u32::from(u16::from_le_bytes(code))
        };
        let pairs = [0, 1, 2].map(|kx| [tap(0, kx) | tap(1, kx) << 16, tap(1, kx) | tap(2, kx) << 16]);
        let bias = op.weights.bias.as_chunks::<4>().0.get(channel).map_or(0, |bytes| u32::from_le_bytes(*bytes));
        let entry = channel * scale.step;
        let shift = scale.shifts.get(entry).map_or(0, |shift| shift.cast_signed().unsigned_abs());
        let multiplier = scale.multipliers.as_chunks::<4>().0.get(entry).map_or(0, |bytes| u32::from_le_bytes(*bytes));
        let end = [bias, (channels as u32) << 8 | u32::from(shift), multiplier << 1];
        for (word, value) in record.iter_mut().zip(pairs.as_flattened().iter().chain(&end)) {
            *word = *value;
        }
    }
}
