//! Lanes: 16 channels of a depthwise convolution side by side.

use crate::format::{Activation, VECTOR, Window};
use crate::kernels::window::Span;

/// The constants of an inner loop.
#[derive(Debug, Clone, Copy)]
pub(super) struct LanesFilters<'a> {
    /// 8 bits each, in the order of [`Lanes`](crate::format::Lanes).
    pub(super) weights: &'a [u8],
    /// One i32 for each channel, padding included.
    pub(super) bias: &'a [u32],
    /// Channels to write.
    pub(super) channels: usize,
    /// From the inputs of one pixel to those of the next.
    pub(super) pixel_step: usize,
    pub(super) end: LanesEnd,
}

/// What the accumulators of lanes end in.
#[derive(Debug, Clone, Copy)]
pub(super) enum LanesEnd {
    /// Shifted left by an entry each, and saturated.
    Shift(Activation),
    /// Multiplied and shifted right by two entries each, the zero point added, and saturated.
    Multiply(Activation, i16),
    /// Left as they are.
    Accumulators,
}

impl LanesFilters<'_> {
    /// The loops over so many taps stay inside these operands.
    ///
    /// ends  for each channel, padding included: what its accumulator is shifted left by, or room for it; to be multiplied, of each
    ///       16 channels the Q31 multipliers, then what is shifted left by, at most -1
    pub(super) fn are_consistent(&self, taps: usize, ends: &[u32]) -> bool {
        let padded = self.channels.next_multiple_of(VECTOR);
        self.channels > 0
            && taps > 0
            && padded.saturating_mul(taps.next_multiple_of(2)) <= self.weights.len()
            && padded <= self.bias.len()
            && padded.saturating_mul(if matches!(self.end, LanesEnd::Multiply(..)) { 2 } else { 1 }) <= ends.len()
    }
}

/// What taps read.
#[derive(Debug, Clone, Copy)]
pub(super) struct Inputs<'a> {
    /// The tensor, one byte a code, from the first row on that is there.
    pub(super) codes: &'a [u8],
    /// What padding reads as, for each channel.
    pub(super) zeros: &'a [u8],
}

/// The inputs under a window, tap by tap.
#[derive(Debug)]
pub(super) struct Taps<'a> {
    kernel_h: usize,
    kernel_w: usize,
    /// From a row of the kernel to the next, and from a column.
    row_step: usize,
    column_step: usize,
    /// True for codes without a sign: 128 is subtracted.
    pub(super) unsigned: bool,
    /// For each tap an index, as the loops take it: set by [`Taps::cover`] alone.
    places: &'a mut [u32],
    /// Rows and columns of the kernel that are inside.
    rows: Span,
    columns: Span,
    /// The base that the places of padding are counted from: they serve no other.
    base: usize,
}

impl<'a> Taps<'a> {
    /// No tap is set.
    ///
    /// places  room for one word each
    /// row_len, channels  codes from one row of the input to the next, and from one column
    pub(super) fn new(
        window: &Window,
        (row_len, channels): (usize, usize),
        unsigned: bool,
        places: &'a mut [u32],
    ) -> Option<Self> {
        let (kernel_h, kernel_w) = (usize::from(window.kernel_h), usize::from(window.kernel_w));
        let places = places.get_mut(..kernel_h * kernel_w)?;
        let row_step = usize::from(window.dilation_h) * row_len;
        let column_step = usize::from(window.dilation_w) * channels;
        let (rows, columns, base) = (Span::default(), Span::default(), 0);
        Some(Self { kernel_h, kernel_w, row_step, column_step, unsigned, places, rows, columns, base })
    }

    /// Sets the taps of a pixel, of which some rows and columns are inside.
    ///
    /// base  index of the first tap, inside or not, modulo `2^32`
    pub(super) fn cover(&mut self, inputs: &Inputs<'_>, rows: Span, columns: Span, base: usize) {
        let padding = super::instructions::padding(inputs.codes, inputs.zeros).wrapping_sub(base as u32);
        // Columns that are inside as they were need nothing, unless some of their taps are padding.
        let (h, w) = (self.kernel_h, self.kernel_w);
        let were_inside = if rows.len == h && self.rows.len == h { self.columns } else { Span::default() };
        for kx in 0..w {
            let is_inside = columns.covers(kx);
            if is_inside && were_inside.covers(kx) {
                continue;
            }
            let (column, step) = (self.column_step.wrapping_mul(kx) as u32, self.row_step as u32);
            let (mut place, step) = if is_inside { (column, step) } else { (padding, 0) };
            let mut cell = kx;
            while let Some(target) = self.places.get_mut(cell) {
                *target = place;
                place = place.wrapping_add(step);
                cell += w;
            }
        }
        if rows.len < h {
            for ky in (0..h).filter(|ky| !rows.covers(*ky)) {
                self.places.get_mut(ky * w..).and_then(|row| row.get_mut(..w)).unwrap_or_default().fill(padding);
            }
        }
        (self.rows, self.columns, self.base) = (rows, columns, base);
    }

    /// One for each tap: added to the base, its index.
    pub(super) fn places(&self) -> &[u32] {
        self.places
    }

    /// The taps of so many pixels, which were set for these inputs, lie in the input or in the zeros.
    ///
    /// base      that of the first pixel
    /// channels  how many of each are read
    #[inline]
    pub(super) fn are_inside(
        &self,
        inputs: &Inputs<'_>,
        (base, pixels): (usize, usize),
        pixel_step: usize,
        channels: usize,
    ) -> bool {
        let is_padded = self.rows.len < self.kernel_h || self.columns.len < self.kernel_w;
        // From the first tap inside to the last one's last channel.
        let first = self.row_step.wrapping_mul(self.rows.kernel);
        let first = first.wrapping_add(self.column_step.wrapping_mul(self.columns.kernel)).wrapping_add(base);
        let reach = |count: usize, step: usize| count.saturating_sub(1).saturating_mul(step);
        let end = first
            .saturating_add(reach(self.rows.len, self.row_step))
            .saturating_add(reach(self.columns.len, self.column_step))
            .saturating_add(reach(pixels, pixel_step))
            .saturating_add(channels);
        (!is_padded || self.base == base && pixels == 1)
            && (end <= inputs.codes.len() || self.rows.len == 0 || self.columns.len == 0)
            && channels <= inputs.zeros.len()
    }
}
