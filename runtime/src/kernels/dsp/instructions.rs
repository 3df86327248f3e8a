//! The inner loops, checked: each runs in the instructions of the DSP extension, or without it as its twin in Rust.

use super::CONV_COLUMNS;
use super::affine_binary::ScaledSum;
#[cfg(stepshift_backend = "dsp")]
use super::arm as native;
use super::strips::{COLUMN_WORDS, QUAD_TAP_BYTES, QUAD_WORDS};
use super::taps::Taps;
use super::tile::{End, Filters, Tile};
use super::tile_twin;
#[cfg(not(stepshift_backend = "dsp"))]
use super::twin as native;
use crate::codes::Codes;
use crate::format::{Case, Element, Links, Pairs, Runs, WeightBits};
use crate::kernels::{InOut, ViewMut};

/// Filters that were checked once, for every tile of a layer.
#[derive(Debug)]
pub(super) struct Multiplier<'a> {
    /// 0 where it runs over nothing.
    pixels: usize,
    /// Words of the columns, and bytes of the output.
    columns: usize,
    written: usize,
    tile_loop: TileLoop<'a>,
}

/// What runs over a tile.
#[derive(Debug)]
enum TileLoop<'a> {
    Native(native::TileLoop<'a>),
    /// For weights that the instructions could not load where they lie.
    Twin(tile_twin::TileLoop<'a>),
}

impl<'a> Multiplier<'a> {
    /// One that runs over nothing for filters that contradict themselves, and for those at no multiple of 4 in a program that links nothing
    /// for them.
    ///
    /// words   of the column of a pixel
    /// pixels  [`CONV_COLUMNS`], or one
    /// pitch   bytes of the output from one pixel to the next
    #[inline]
    pub(super) fn new<const LINKS: Links>(filters: Filters<'a>, (words, pixels): (usize, usize), pitch: usize) -> Self {
        // One instruction loads two words of weights; it wants them aligned, as they are in the file.
        let loads_two = filters.bits == WeightBits::Sixteen || filters.bits == WeightBits::Eight && pixels == 1;
        let is_aligned = filters.weights.as_ptr().addr().is_multiple_of(4);
        let runs = filters.are_consistent(words) && (is_aligned || Case::Place.is_in(LINKS));
        let (columns, written) = (words * pixels, filters.written::<LINKS>(pixels, pitch));
        let tile_loop = if Case::Place.is_in(LINKS) && !is_aligned && loads_two {
            TileLoop::Twin(tile_twin::TileLoop { filters, pixels, pitch })
        } else {
            TileLoop::Native(native::TileLoop::new::<LINKS>(filters, pixels, pitch))
        };
        Self { pixels: if runs { pixels } else { 0 }, columns, written, tile_loop }
    }

    /// Multiplies the columns of the pixels by every pair of channels, those of a model that lies at no multiple of 4 by slower means.
    /// Nothing where these are not so many pixels, there are other columns, or less room.
    #[inline]
    pub(super) fn run<const LINKS: Links, const PIXELS: usize>(&mut self, tile: Tile<'_>) {
        if self.pixels != PIXELS || tile.columns.len() != self.columns || tile.output.len() < self.written {
            return;
        }
        match &mut self.tile_loop {
            TileLoop::Native(native) => native.run::<LINKS, PIXELS>(tile),
            TileLoop::Twin(twin) if Case::Place.is_in(LINKS) => twin.run::<LINKS, PIXELS>(tile),
            TileLoop::Twin(_) => {}
        }
    }
}

/// Multiplies codes where they lie by every pair of channels, those of a model that lies at no multiple of 4 by slower means. Nothing
/// where the filters contradict themselves, there are others than [`Pairs::has_dot`] says, or less room.
#[inline(always)]
pub(super) fn dot<const LINKS: Links>(filters: &Filters<'_>, codes: Codes<'_>, output: &mut [u8]) {
    let order = Pairs { runs: Runs::whole(codes.len()), bits: filters.bits, joined: filters.joined };
    let words = order.channel_len() / 2;
    if !order.has_dot(codes.element())
        || order.joined
        || !filters.are_consistent(words)
        || output.len() < filters.written::<LINKS>(1, 0)
    {
        return;
    }
    // One instruction loads two words of weights of 8 bits, aligned.
    let loads_one = Case::Place.is_in(LINKS) && filters.bits == WeightBits::Four;
    if loads_one || filters.weights.as_ptr().addr().is_multiple_of(4) {
        native::dot::<LINKS>(filters, codes, output);
    } else if Case::Place.is_in(LINKS) {
        tile_twin::dot::<LINKS>(filters, codes, output);
    }
}

/// Codes of a row of the kernel, of which some may be padding.
#[derive(Debug, Clone, Copy)]
pub(super) struct PaddedRun<'a> {
    pub(super) codes: Codes<'a>,
    /// Zeros before the first code.
    pub(super) before: usize,
    /// What is written for them, and behind the last code.
    pub(super) zero: i16,
}

impl PaddedRun<'_> {
    /// The word of two codes of padding.
    #[inline]
    pub(super) fn zeros(&self) -> u32 {
        let zero = u32::from(self.zero.cast_unsigned());
        zero | zero << 16
    }

    /// The word of codes `entry` and `entry + 2`.
    #[inline]
    pub(super) fn word<const LINKS: Links>(&self, entry: usize) -> u32 {
        let code = |entry: usize| {
            let code = self.codes.get_linked::<LINKS>(entry.wrapping_sub(self.before));
            u32::from(code.unwrap_or(self.zero).cast_unsigned())
        };
        code(entry) | code(entry + 2) << 16
    }
}

/// Quads of a run: of padding, of codes, and of padding again.
#[derive(Debug, Clone, Copy)]
pub(super) struct RunQuads {
    pub(super) before: usize,
    pub(super) inside: usize,
    pub(super) behind: usize,
}

/// Widens a run to 16 bits, into all of every `stride`-th word: codes 0 and 2 of each four, then codes 1 and 3.
#[inline(never)]
pub(super) fn widen_run<const LINKS: Links>(run: &PaddedRun<'_>, stride: usize, target: &mut [u32]) {
    let quads = target.len().div_ceil(stride.max(1)) / 2;
    let (before, inside, rest) = (run.before / 4, run.codes.len() / 4, run.codes.len() % 4);
    let mut index = 0;
    if run.before.is_multiple_of(4)
        && let Some(behind) = quads.checked_sub(before + inside)
    {
        // What is behind a quad that is not whole is written word by word, as it is.
        let behind = if rest == 0 { behind } else { 0 };
        native::widen_run::<LINKS>(run, RunQuads { before, inside, behind }, stride, target);
        index = 2 * (before + inside + behind);
    }
    while let Some(word) = target.get_mut(index * stride) {
        *word = run.word::<LINKS>(index / 2 * 4 + index % 2);
        index += 1;
    }
}

/// The windows of [`CONV_COLUMNS`] pixels.
#[derive(Debug, Clone, Copy)]
pub(super) struct Windows<'a> {
    pub(super) element: Element,
    pub(super) bytes: &'a [u8],
    /// Byte of each one's first code.
    pub(super) starts: &'a [usize; CONV_COLUMNS],
    /// Bytes from one row to the next.
    pub(super) step: usize,
    pub(super) rows: usize,
    /// Four times so many codes a row.
    pub(super) quads: usize,
}

/// Widens windows to the columns of their pixels, in the order of [`widen_run`]. The last start from which there are all bytes: for a
/// window from a later one on, those from there are widened instead. `None` where there are no rows, no
/// window has all, or fewer words are there.
#[inline]
#[must_use]
pub(super) fn widen_windows<const LINKS: Links>(windows: Windows<'_>, target: &mut [u32]) -> Option<usize> {
    let Windows { element, bytes, step, rows, quads, .. } = windows;
    // Extents whose products lie within a word.
    if quads == 0 || rows >> 8 | quads >> 20 | step >> 22 != 0 {
        return None;
    }
    let last_start = bytes.len().checked_sub(rows.checked_sub(1)? * step + quads * 4 * element.bytes())?;
    if 2 * CONV_COLUMNS * rows * quads > target.len() {
        return None;
    }
    native::widen_windows::<LINKS>(windows, last_start, target);
    Some(last_start)
}

/// Accumulates the taps of one pixel, every quad of its channels. Nothing where the taps contradict themselves.
#[inline]
pub(super) fn depthwise<const LINKS: Links>(taps: Taps<'_>) {
    if taps.is_consistent() {
        native::depthwise::<LINKS>(taps);
    }
}

/// Two rows of four channels, to be stood one below the other.
#[derive(Debug, Clone, Copy)]
pub(super) struct TwoRows<'a> {
    /// Codes have a sign.
    pub(super) signed: bool,
    pub(super) first: Row<'a>,
    pub(super) second: Row<'a>,
    /// Bytes from one pixel to the next, of rows that are no padding.
    pub(super) pitch: usize,
    /// Pixels of a row.
    pub(super) count: usize,
}

/// Where the codes of a row are.
#[derive(Debug, Clone, Copy)]
pub(super) enum Row<'a> {
    /// From an index of the input on.
    At(usize),
    /// Every pixel of padding reads as this one.
    Padding(&'a [u8; 4]),
}

impl TwoRows<'_> {
    /// Those that are `bytes` behind these lie in as many codes too.
    #[inline]
    fn are_inside(&self, bytes: usize, codes: usize) -> bool {
        let reach = self.count.saturating_sub(1) * self.pitch + bytes + 4;
        let is_inside = |row: Row<'_>| match row {
            Row::At(start) => start + reach <= codes,
            Row::Padding(_) => bytes == 0,
        };
        self.count > 0 && is_inside(self.first) && is_inside(self.second)
    }
}

/// Pairs two rows. Nothing where they are shorter, or what is written.
///
/// above, below  every second word of each [`COLUMN_WORDS`], from the first on: the same words go to both
#[inline]
pub(super) fn pair_rows<const LINKS: Links>(rows: TwoRows<'_>, codes: &[u8], above: &mut [u32], below: &mut [u32]) {
    let words = rows.count.saturating_sub(1) * COLUMN_WORDS + COLUMN_WORDS - 1;
    if rows.are_inside(0, codes.len()) && words <= above.len() && words <= below.len() {
        native::pair_rows::<LINKS>(&rows, codes, above, below);
    }
}

/// Operands of the loop over strips, each of two rows of the output, four channels.
#[derive(Debug)]
pub(super) struct Strips<'a> {
    /// The two rows of the input that the first strip lacks.
    pub(super) rows: TwoRows<'a>,
    /// Bytes from both rows to the next two; with more than one strip, none of them is padding.
    pub(super) rows_advance: usize,
    pub(super) input: First<'a>,
    /// Words of the columns before the input's first one.
    pub(super) left: usize,
    /// [`COLUMN_WORDS`] of each column: of each channel the pairs of rows 0 and 1, which are there, then 2 and 3.
    pub(super) this: &'a mut [u32],
    /// As many for the strip behind it, which takes this one's place.
    pub(super) next: &'a mut [u32],
    /// [`RECORD_WORDS`](super::strips::RECORD_WORDS) of each channel: of the kernel's columns the rows 0 and 1, then 1 and 2; bias; twice the multiplier; `channels << 8 | shift`.
    pub(super) records: &'a [u32; QUAD_WORDS],
    /// Pixels of a row of the output.
    pub(super) width: usize,
    /// Index of the first row's first code.
    pub(super) start: usize,
    pub(super) output: &'a mut [u8],
    /// Bytes from one pixel of the output to the next.
    pub(super) channels: usize,
    /// Bytes from one row to the next; 0 for one strip of one row.
    pub(super) row_pitch: usize,
    /// Strips.
    pub(super) count: usize,
    /// Not [`End::Accumulators`].
    pub(super) end: End,
    /// By multipliers, to which a zero point is added.
    pub(super) multiplies: bool,
    pub(super) zero: i32,
}

/// Writes the taps of four channels of a 3x3 kernel into their records, in pairs, one below the other.
///
/// taps  in the order of [`Quads`](crate::format::Quads)
#[inline]
pub(super) fn pair_taps(taps: &[u8; QUAD_TAP_BYTES], records: &mut [u32; QUAD_WORDS]) {
    native::pair_taps(taps, records);
}

/// Computes strips one below the other. Nothing where the operands contradict themselves.
#[inline]
pub(super) fn run_strips<const LINKS: Links>(strips: Strips<'_>) {
    let (Some(last_strip), Some(last)) = (strips.count.checked_sub(1), strips.width.checked_sub(1)) else { return };
    let rows = &strips.rows;
    let codes = match strips.input {
        First::InPlace => strips.output.len(),
        First::Apart(codes) => codes.len(),
    };
    let enough = rows.are_inside(last_strip * strips.rows_advance, codes)
        && strips.left + COLUMN_WORDS * rows.count <= strips.this.len()
        && COLUMN_WORDS * (last + 3) <= strips.this.len()
        && strips.this.len() == strips.next.len()
        && strips.start + last * strips.channels + (2 * last_strip + 1) * strips.row_pitch + 4 <= strips.output.len();
    if enough {
        native::run_strips::<LINKS>(strips);
    }
}

/// What an addition does with two codes: `(a * factor_a + b * factor_b + rounding) >> right_shift`, saturated.
#[derive(Debug, Clone, Copy)]
pub(super) struct Sum {
    /// Operands have a sign.
    pub(super) signed: bool,
    /// Factor of `a` in the low half, of `b` in the high one.
    pub(super) factors: u32,
    pub(super) rounding: i32,
    /// Less than 32.
    pub(super) right_shift: usize,
    /// Not [`End::Accumulators`].
    pub(super) end: End,
}

/// Where a kernel finds its first operand.
#[derive(Debug)]
pub(super) enum First<'a> {
    /// In the place of the output.
    InPlace,
    Apart(&'a [u8]),
}

impl<'a> First<'a> {
    /// The first operand, and the output.
    #[inline]
    pub(super) fn of<'o>(a_output: &'o mut InOut<'a>) -> (Self, &'o mut ViewMut<'a>) {
        match a_output {
            InOut::InPlace(output, _) => (Self::InPlace, output),
            InOut::Apart(a, output) => (Self::Apart(a.bytes), output),
        }
    }

    /// Where it begins.
    #[cfg(stepshift_backend = "dsp")]
    pub(super) const fn as_ptr(&self, output: &[u8]) -> *const u8 {
        match self {
            Self::InPlace => output.as_ptr(),
            Self::Apart(codes) => codes.as_ptr(),
        }
    }
}

/// Adds two tensors code by code; of the shortest as many as it has.
#[inline]
pub(super) fn add<const LINKS: Links>(sum: &Sum, a: &First<'_>, b: &[u8], output: &mut [u8]) {
    by_quads::<LINKS>(a, b, output, |a, b, output, quads| native::add::<LINKS>(sum, a, b, output, quads));
}

/// As [`add`], of the affine scheme.
#[inline]
pub(super) fn add_scaled<const LINKS: Links>(sum: &ScaledSum, a: &First<'_>, b: &[u8], output: &mut [u8]) {
    by_quads::<LINKS>(a, b, output, |a, b, output, quads| native::add_scaled::<LINKS>(sum, a, b, output, quads));
}

/// Runs a loop over whole quads of codes, and what is left in one of its own.
#[inline]
fn by_quads<const LINKS: Links>(
    a: &First<'_>,
    b: &[u8],
    output: &mut [u8],
    run: impl Fn(&First<'_>, &[u8], &mut [u8], usize),
) {
    let len = match a {
        First::InPlace => output.len(),
        First::Apart(a) => a.len().min(output.len()),
    };
    let len = len.min(b.len());
    if len >= 4 {
        run(a, b, output, len / 4);
    }
    let rest = len / 4 * 4..len;
    if rest.is_empty() || !Case::Operator.is_in(LINKS) {
        return;
    }
    let (mut sums, mut second) = ([0; 4], [0; 4]);
    let first = match a {
        First::InPlace => output.get(rest.clone()),
        First::Apart(a) => a.get(rest.clone()),
    };
    copy(first.unwrap_or_default(), &mut sums);
    copy(b.get(rest.clone()).unwrap_or_default(), &mut second);
    run(&First::InPlace, &second, &mut sums, 1);
    copy(&sums, output.get_mut(rest).unwrap_or_default());
}

/// As many codes as both have.
#[inline(never)]
fn copy(from: &[u8], to: &mut [u8]) {
    for (to, from) in to.iter_mut().zip(from) {
        *to = *from;
    }
}

/// Most pixels whose codes add up within 16 bits.
pub(super) const PIXELS_OF_A_SUM: usize = 256;

/// Sums of four channels over pixels `pitch` bytes apart, at most [`PIXELS_OF_A_SUM`]: of channels 0 and 2, then 1 and 3, in
/// halves of words. 0 where there are fewer pixels.
#[inline]
pub(super) fn sum_pixels<const LINKS: Links>(signed: bool, input: &[u8], pitch: usize, pixels: usize) -> [u32; 2] {
    match pixels.checked_sub(1) {
        Some(last) if last < PIXELS_OF_A_SUM && last * pitch + 4 <= input.len() => {
            native::sum_pixels::<LINKS>(signed, input, pitch, pixels)
        }
        _ => [0; 2],
    }
}
