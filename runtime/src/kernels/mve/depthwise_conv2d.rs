use core::ops::Range;

use super::columns::inner_columns;
use super::ends;
use super::instructions::{LaneMultiplier, Runs, fill, negate};
use super::lanes::{Inputs, LanesEnd, LanesFilters, Taps};
use super::strips::by_strips;
use crate::format::{AFFINE_LINK, ALL_LINKS, DepthwiseConv2d, Element, Epilogue, Lanes, Links, Shape, Window};
use crate::kernels::Bands;
use crate::kernels::window::Span;

/// Depthwise 2-D convolution, one output a channel, weights in [`Lanes`]: 16 channels at a time, by strips where they serve. Spec 4.2.
///
/// input    `[H, W, C]`          codes of one byte at the input's step
/// weights  `[1, K_H, K_W, C]`   8 bits, packed
/// bias     `[C]`                i32, with all that is folded into it
/// output   `[H_OUT, W_OUT, C]`  codes at the output's step
/// scratch  [`Lanes::scratch_bytes`]; [`multiplier_bytes`] more, or [`strip_bytes`](super::strip_bytes), where the exporter spends them
pub fn depthwise_conv2d<const LINKS: Links>(
    op: &DepthwiseConv2d<'_>,
    bands: &mut Bands<'_, LINKS>,
    scratch: &mut [u8],
) {
    let (input, output) = (bands.input(), bands.output());
    let channels = usize::from(input.shape.c);
    let elements = (input.element, output.element);
    let Some(order) = Lanes::new(op.window.taps(), channels, op.weights.bits, elements) else { return };
    if bands.in_out().is_some_and(|operands| by_strips::<LINKS>(op, order, operands, scratch)) {
        return;
    }
    let Some((tables, end)) = Tables::new::<LINKS>(order, op, scratch) else { return };
    let Tables { bias, ends, places, zeros } = tables;
    let is_slow = matches!(end, LanesEnd::Accumulators);
    let filters = LanesFilters {
        weights: op.weights.codes,
        bias,
        channels,
        pixel_step: channels * usize::from(op.window.stride_w),
        end,
    };
    let row_len = usize::from(input.shape.w) * channels;
    let Some(taps) = Taps::new(&op.window, (row_len, channels), input.element == Element::U8, places) else { return };
    let Some(mut multiplier) = LaneMultiplier::new::<LINKS>(filters, taps, ends) else { return };
    let mut sliding = Sliding::new(&op.window, input.shape, output.shape.w.into());
    while let Some((input, mut output)) = bands.next() {
        let inputs = Inputs { codes: input.bytes, zeros };
        sliding.begin(output.first_row, input.first_row);
        let mut start = 0;
        while let Some(target) = output.bytes.get_mut(start..).filter(|target| channels <= target.len()) {
            let (base, pixels) = sliding.next(if is_slow { 1 } else { usize::MAX }, &inputs, multiplier.taps());
            multiplier.run(&inputs, base, pixels, target);
            if is_slow && LINKS & AFFINE_LINK != 0 {
                for (channel, acc) in multiplier.accumulators().enumerate() {
                    let code = op.weights.epilogue.channel(channel).apply::<LINKS>(acc, op.activation);
                    output.put(start + channel, code);
                }
            }
            start += pixels * channels;
        }
    }
}

/// Bytes of scratch, beside those of the order, by which a layer ends in instructions.
#[must_use]
pub const fn multiplier_bytes(order: Lanes) -> usize {
    4 * order.padded_channels()
}

/// The parts of scratch.
struct Tables<'a> {
    bias: &'a mut [u32],
    /// As the loop takes them, or room for accumulators.
    ends: &'a mut [u32],
    places: &'a mut [u32],
    zeros: &'a mut [u8],
}

impl<'a> Tables<'a> {
    /// Those of a layer, and what it ends in; `None` where there is less scratch.
    fn new<const LINKS: Links>(
        order: Lanes,
        op: &DepthwiseConv2d<'_>,
        scratch: &'a mut [u8],
    ) -> Option<(Self, LanesEnd)> {
        let (_, words, _) = bytemuck::pod_align_to_mut::<u8, u32>(scratch);
        let channels = order.padded_channels();
        let (bias, rest) = words.split_at_mut_checked(channels)?;
        let (places, rest) = rest.split_at_mut_checked(order.padded_taps())?;
        let (zeros, ends) = rest.split_at_mut_checked(channels / 4)?;
        let zeros = bytemuck::cast_slice_mut(zeros);
        Runs::copy_all(false, op.weights.bias, bytemuck::cast_slice_mut(bias));
        let [zero, _] = op.weights.epilogue.input_zero().to_le_bytes();
        fill(zeros, zero);
        let end = ends::of_layer::<LINKS>(&op.weights.epilogue, op.activation);
        let end = match (&op.weights.epilogue, end) {
            (Epilogue::Shift([shift]), Some(end)) => {
                ends.fill(i32::from(shift.cast_signed()).wrapping_neg().cast_unsigned());
                end
            }
            (Epilogue::Shift(shifts), Some(end)) => {
                negate(shifts, ends);
                end
            }
            (Epilogue::Multiply(multiply), Some(end)) if 2 * channels <= ends.len() => {
                ends::write_multipliers(multiply, 0, ends);
                end
            }
            _ => LanesEnd::Accumulators,
        };
        Some((Self { bias, ends, places, zeros }, end))
    }
}

/// A window on its way over the input.
struct Sliding<'a> {
    window: &'a Window,
    /// Extent of the input.
    shape: Shape,
    out_w: usize,
    /// Columns of the output whose windows reach over neither side.
    inner: Range<usize>,
    oy: usize,
    ox: usize,
    /// Row of the first code that is there.
    first_row: usize,
    rows: Span,
    /// The taps are those of a window inside the input.
    is_inside: bool,
}

impl<'a> Sliding<'a> {
    /// [`Self::begin`] comes before the first pixel.
    fn new(window: &'a Window, shape: Shape, out_w: usize) -> Self {
        let inner = inner_columns(window, shape.w.into(), out_w);
        Self { window, shape, out_w, inner, oy: 0, ox: 0, first_row: 0, rows: Span::default(), is_inside: false }
    }

    /// Goes on with the first pixel of a row of the output.
    fn begin(&mut self, row: usize, first_row: usize) {
        (self.oy, self.ox, self.first_row) = (row, 0, first_row);
        self.rows = Span::rows::<ALL_LINKS>(self.window, self.shape, self.oy);
    }

    /// Sets the taps of the next pixels, at most `limit`, where those of the pixels before do not serve; the index from which
    /// they count, and how many pixels have them.
    #[inline]
    fn next(&mut self, limit: usize, inputs: &Inputs<'_>, taps: &mut Taps<'_>) -> (usize, usize) {
        if self.ox >= self.out_w {
            (self.ox, self.oy) = (0, self.oy + 1);
            self.rows = Span::rows::<ALL_LINKS>(self.window, self.shape, self.oy);
        }
        let ox = self.ox;
        let inside = self.inner.contains(&ox) && self.rows.len == usize::from(self.window.kernel_h);
        let left = (ox * usize::from(self.window.stride_w)).wrapping_sub(self.window.pad_left.into());
        let above = self.rows.kernel * self.rows.step;
        let row = self.rows.input.wrapping_sub(above).wrapping_sub(self.first_row);
        let column = row.wrapping_mul(self.shape.w.into()).wrapping_add(left);
        let base = column.wrapping_mul(self.shape.c.into());
        if !inside {
            self.ox += 1;
            self.is_inside = false;
            taps.cover(inputs, self.rows, Span::columns::<ALL_LINKS>(self.window, self.shape, ox), base);
            return (base, 1);
        }
        if !self.is_inside {
            let (len, step) = (self.window.kernel_w.into(), self.window.dilation_w.into());
            taps.cover(inputs, self.rows, Span { kernel: 0, input: left, len, step }, base);
            self.is_inside = true;
        }
        let pixels = limit.min(self.inner.end - ox);
        self.ox += pixels;
        (base, pixels)
    }
}
