//! The inner loops, checked: each runs in vector instructions, or without them as its twin in Rust.

#[cfg(stepshift_backend = "mve")]
use super::arm as native;
use super::lanes::{Inputs, LanesEnd, LanesFilters, Taps};
use super::strips::{SPAN, STRIP_PIXELS};
use super::tile::Filters;
#[cfg(not(stepshift_backend = "mve"))]
use super::twin as native;
use crate::format::{Links, VECTOR};

/// The inner loop over a layer's channels.
#[derive(Debug)]
pub(super) struct Multiplier<'a> {
    channel_len: usize,
    column_step: usize,
    channels: usize,
    native: native::Loop<'a>,
}

impl<'a> Multiplier<'a> {
    /// `None` where the filters contradict themselves, or the program does not link their width or end.
    #[inline]
    pub(super) fn new<const LINKS: Links>(filters: &Filters<'a>) -> Option<Self> {
        if !filters.are_consistent() {
            return None;
        }
        let Filters { channel_len, column_step, channels, .. } = *filters;
        Some(Self { channel_len, column_step, channels, native: native::Loop::new::<LINKS>(filters)? })
    }

    /// Multiplies the inputs of `PIXELS` pixels by every channel. Nothing where there are fewer inputs than weights, or the output
    /// has no room.
    ///
    /// output  `[PIXELS, C_OUT]` codes
    #[inline]
    pub(super) fn run<const LINKS: Links, const PIXELS: usize>(&self, inputs: &[u8], output: &mut [u8]) {
        let reach = self.column_step * PIXELS.saturating_sub(1) + self.channel_len;
        if reach <= inputs.len() && PIXELS * self.channels <= output.len() {
            self.native.run::<LINKS, PIXELS>(inputs, output);
        }
    }
}

/// The inner loop over the channels of a depthwise convolution.
#[derive(Debug)]
pub(super) struct LaneMultiplier<'a> {
    filters: LanesFilters<'a>,
    taps: Taps<'a>,
    ends: &'a mut [u32],
    native: native::LanesLoop,
}

impl<'a> LaneMultiplier<'a> {
    /// `None` where the operands contradict each other, or the program does not link their element or end.
    ///
    /// ends  as [`LanesFilters::are_consistent`] has them
    #[inline]
    pub(super) fn new<const LINKS: Links>(
        filters: LanesFilters<'a>,
        taps: Taps<'a>,
        ends: &'a mut [u32],
    ) -> Option<Self> {
        if !filters.are_consistent(taps.places().len(), ends) {
            return None;
        }
        let native = native::LanesLoop::new::<LINKS>(&filters, &taps)?;
        Some(Self { filters, taps, ends, native })
    }

    /// Before the taps of a pixel are not those of the pixel before.
    pub(super) const fn taps(&mut self) -> &mut Taps<'a> {
        &mut self.taps
    }

    /// Multiplies the inputs of some pixels by their weights, channel by channel. Nothing where the operands contradict each other.
    ///
    /// base    index of the first tap of the first pixel, inside or not, modulo `2^32`
    /// output  `[pixels, C]` codes; where accumulators are wanted, of one pixel, they are written instead
    #[inline]
    pub(super) fn run(&mut self, inputs: &Inputs<'_>, base: usize, pixels: usize, output: &mut [u8]) {
        let LanesFilters { channels, pixel_step, end, .. } = self.filters;
        let has_room = match end {
            LanesEnd::Accumulators => pixels == 1,
            _ => channels.saturating_mul(pixels) <= output.len(),
        };
        if pixels > 0 && has_room && self.taps.are_inside(inputs, (base, pixels), pixel_step, channels) {
            self.native.run(&self.filters, (&self.taps, inputs), self.ends, (base, pixels), output);
        }
    }

    /// Those of the last pixel, channel by channel.
    pub(super) fn accumulators(&self) -> impl Iterator<Item = i32> {
        self.ends.iter().take(self.filters.channels).map(|acc| acc.cast_signed())
    }
}

/// The place of a tap that is padding.
#[inline]
pub(super) fn padding(input: &[u8], zeros: &[u8]) -> u32 {
    native::padding(input, zeros)
}

/// Runs of codes under the windows of pixels that lie side by side, and where copies of them go: as the loops load it.
#[derive(Debug, Clone, Copy, Default)]
#[repr(C)]
pub(super) struct Runs {
    /// Runs of a pixel.
    pub(super) count: usize,
    /// Bytes from one run to the next.
    pub(super) step: usize,
    /// Bytes from the first run of one pixel to that of the next.
    pub(super) pixel_step: usize,
    /// Bytes from the copy of one run to that of the next.
    pub(super) target_step: usize,
    /// Bytes from the copies of one pixel to those of the next.
    pub(super) target_pixel_step: usize,
    /// True for codes without a sign: 128 is subtracted.
    pub(super) unsigned: bool,
}

impl Runs {
    /// Copies the runs of `PIXELS` pixels, `len` bytes each. Nothing where source or target have fewer bytes.
    #[inline]
    pub(super) fn copy<const PIXELS: usize>(&self, len: usize, source: &[u8], target: &mut [u8]) {
        let (Some(last), Some(last_pixel)) = (self.count.checked_sub(1), PIXELS.checked_sub(1)) else { return };
        let read = last * self.step + last_pixel * self.pixel_step + len;
        let written = last * self.target_step + last_pixel * self.target_pixel_step + len;
        if len > 0 && read <= source.len() && written <= target.len() {
            native::copy::<PIXELS>(self, len, source, target);
        }
    }

    /// Copies all of `source` to the start of `target`.
    #[inline]
    pub(super) fn copy_all(unsigned: bool, source: &[u8], target: &mut [u8]) {
        Self { count: 1, unsigned, ..Self::default() }.copy::<1>(source.len(), source, target);
    }
}

/// Fills bytes with one value.
#[inline]
pub(super) fn fill(target: &mut [u8], value: u8) {
    native::fill(target, value);
}

/// Writes the negative of every `i8`, as many as there are of both.
#[inline]
pub(super) fn negate(codes: &[u8], target: &mut [u32]) {
    let len = codes.len().min(target.len());
    if len > 0 {
        native::negate(codes, target, len);
    }
}

/// Pixels that lie side by side, on their way into strips.
#[derive(Debug, Clone, Copy)]
pub(super) struct Columns {
    /// True for codes without a sign: 128 is subtracted.
    pub(super) unsigned: bool,
    /// Bytes from one pixel to the next; 0 for one pixel again and again.
    pub(super) pitch: usize,
    /// Pixels.
    pub(super) count: usize,
    /// Bytes from one strip to the next.
    pub(super) step: usize,
    /// Channels of a pixel, at most 16.
    pub(super) channels: usize,
}

/// Greatest distance of two strips: seven of them are counted in 16 bits.
const MOST_STEP: usize = 8192;

/// The strip of a channel among 16: of every four the second and the third change places.
#[cfg(not(stepshift_backend = "mve"))]
pub(super) const fn strip_of(channel: usize) -> usize {
    let within = channel % 4;
    channel - within + within % 2 * 2 + within / 2
}

/// Writes a code of each channel and pixel to the channel's strip, every [`SPAN`] bytes. Nothing where there are fewer codes, or less room.
///
/// target  16 strips, from the place of the first pixel on
#[inline]
pub(super) fn load_columns(columns: &Columns, source: &[u8], target: &mut [u8]) {
    let Some(last) = columns.count.checked_sub(1) else { return };
    let enough = (1..=VECTOR).contains(&columns.channels)
        && columns.step <= MOST_STEP
        && last * columns.pitch + columns.channels <= source.len()
        && (VECTOR - 1) * columns.step + last * SPAN < target.len();
    if enough {
        native::load_columns(columns, source, target);
    }
}

/// Turns the weights of each column down by so many of the [`SPAN`] rows.
#[inline]
pub(super) fn turn(weights: &mut [u8], rows: usize) {
    if let Some(weights) = weights.first_chunk_mut() {
        match rows {
            0 => {}
            2 => native::turn_by_two(weights),
            _ => (0..rows).for_each(|_| native::turn(weights)),
        }
    }
}

/// Operands of the loops over strips, of one row of the output, or of two.
#[derive(Debug)]
pub(super) struct StripRows<'a> {
    pub(super) strips: &'a [u8],
    /// Bytes from one strip to the next.
    pub(super) step: usize,
    /// Of each strip 16.
    pub(super) weights: &'a [u8],
    /// One i32 for each channel.
    pub(super) bias: &'a [u32],
    /// As [`LanesFilters::are_consistent`] has them, of 16 channels.
    pub(super) ends: &'a [u32],
    /// Not [`LanesEnd::Accumulators`].
    pub(super) end: LanesEnd,
    /// Pixels, at least [`STRIP_PIXELS`].
    pub(super) pixels: usize,
    /// Bytes of a strip from one pixel to the next.
    pub(super) pixel_step: usize,
    pub(super) channels: usize,
    /// Bytes of the output from one pixel to the next.
    pub(super) pitch: usize,
    /// Bytes from the row to the one below, which is computed too: by the same weights, turned down by one.
    pub(super) below: Option<usize>,
    /// From the first channel of the first pixel on.
    pub(super) output: &'a mut [u8],
}

/// Multiplies the windows of a row by the weights of 16 channels. Nothing where the operands contradict themselves, or the program does not
/// link their end.
#[inline]
pub(super) fn run_strips<const LINKS: Links>(rows: StripRows<'_>) {
    let Some(last) = rows.pixels.checked_sub(1) else { return };
    let entries = if matches!(rows.end, LanesEnd::Multiply(..)) { 2 * VECTOR } else { VECTOR };
    let enough = rows.pixels >= STRIP_PIXELS
        && (1..=VECTOR).contains(&rows.channels)
        && (VECTOR - 1) * rows.step + last * rows.pixel_step + VECTOR <= rows.strips.len()
        && VECTOR * VECTOR <= rows.weights.len()
        && VECTOR <= rows.bias.len()
        && entries <= rows.ends.len()
        && (rows.below.is_none() || rows.pixel_step == SPAN)
        && rows.below.unwrap_or(0) + last * rows.pitch + rows.channels <= rows.output.len();
    if enough {
        native::run_strips::<LINKS>(rows);
    }
}
