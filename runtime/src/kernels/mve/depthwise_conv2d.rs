use core::ops::Range;

use super::columns::inner_columns;
use super::instructions::{LaneMultiplier, Runs, fill, negate};
use super::lanes::{LanesFilters, Taps};
use crate::format::{DepthwiseConv2d, Element, Epilogue, Lanes, Window};
use crate::kernels::window::Span;
use crate::kernels::{View, ViewMut};

/// Depthwise 2-D convolution, one output a channel, weights in [`Lanes`]: 16 channels at a time. Spec 4.2.
///
/// input    `[H, W, C]`          codes of one byte at the input's step
/// weights  `[1, K_H, K_W, C]`   8 bits, packed
/// bias     `[C]`                i32, with all that is folded into it
/// output   `[H_OUT, W_OUT, C]`  codes at the output's step
/// scratch  [`Lanes::scratch_bytes`]
pub fn depthwise_conv2d<const LINKS: u64>(
    op: &DepthwiseConv2d<'_>,
    input: View<'_>,
    mut output: ViewMut<'_>,
    scratch: &mut [u8],
) {
    let channels = usize::from(input.shape.c);
    let elements = (input.element(), output.element);
    let Some(order) = Lanes::new(op.window.taps(), channels, op.weights.bits, elements) else { return };
    let Some(mut tables) = Tables::new(order, scratch) else { return };
    tables.fill(op);
    let Tables { bias, ends, places, zeros } = tables;
    let is_shift = matches!(op.weights.epilogue, Epilogue::Shift(_));
    let filters = LanesFilters {
        weights: op.weights.codes,
        bias,
        channels,
        pixel_step: channels * usize::from(op.window.stride_w),
        activation: is_shift.then_some(op.activation),
    };
    let (unsigned, steps) = (input.element() == Element::U8, (input.row_len(), channels));
    let taps = Taps::new(&op.window, steps, unsigned, input.codes.bytes(), zeros, places);
    let Some(mut multiplier) = taps.and_then(|taps| LaneMultiplier::new(filters, taps, ends)) else { return };
    let mut sliding = Sliding::new(op, &input, &output);
    let mut start = 0;
    while let Some(target) = output.bytes.get_mut(start..).filter(|target| channels <= target.len()) {
        let (base, pixels) = sliding.next(if is_shift { usize::MAX } else { 1 }, multiplier.taps());
        multiplier.run(base, pixels, target);
        if !is_shift {
            for (channel, acc) in multiplier.accumulators().enumerate() {
                output.put(start + channel, op.weights.epilogue.channel(channel).apply::<LINKS>(acc, op.activation));
            }
        }
        start += pixels * channels;
    }
}

/// The parts of scratch.
struct Tables<'a> {
    bias: &'a mut [u32],
    /// Left shifts, or accumulators.
    ends: &'a mut [u32],
    places: &'a mut [u32],
    zeros: &'a mut [u8],
}

impl<'a> Tables<'a> {
    fn new(order: Lanes, scratch: &'a mut [u8]) -> Option<Self> {
        let (_, words, _) = bytemuck::pod_align_to_mut::<u8, u32>(scratch);
        let (bias, rest) = words.split_at_mut_checked(order.padded_channels())?;
        let (ends, rest) = rest.split_at_mut_checked(order.padded_channels())?;
        let (places, rest) = rest.split_at_mut_checked(order.padded_taps())?;
        let zeros = rest.get_mut(..order.padded_channels() / 4)?;
        Some(Self { bias, ends, places, zeros: bytemuck::cast_slice_mut(zeros) })
    }

    fn fill(&mut self, op: &DepthwiseConv2d<'_>) {
        Runs::copy_all(false, op.weights.bias, bytemuck::cast_slice_mut(self.bias));
        match op.weights.epilogue {
            Epilogue::Shift([shift]) => self.ends.fill(i32::from(shift.cast_signed()).wrapping_neg().cast_unsigned()),
            Epilogue::Shift(shifts) => negate(shifts, self.ends),
            Epilogue::Multiply(_) => {}
        }
        let [zero, _] = op.weights.epilogue.input_zero().to_le_bytes();
        fill(self.zeros, zero);
    }
}

/// A window on its way over the input.
struct Sliding<'a> {
    window: &'a Window,
    input: &'a View<'a>,
    out_w: usize,
    /// Columns of the output whose windows reach over neither side.
    inner: Range<usize>,
    oy: usize,
    ox: usize,
    rows: Span,
    /// The taps are those of a window inside the input.
    is_inside: bool,
}

impl<'a> Sliding<'a> {
    /// Begins with the first pixel of the output.
    fn new(op: &'a DepthwiseConv2d<'a>, input: &'a View<'a>, output: &ViewMut<'_>) -> Self {
        let (window, oy, out_w) = (&op.window, usize::from(output.first_row), usize::from(output.shape.w));
        let inner = inner_columns(window, input.shape.w.into(), out_w);
        let rows = Span::rows(window, input.shape, oy);
        Self { window, input, out_w, inner, oy, ox: 0, rows, is_inside: false }
    }

    /// Sets the taps of the next pixels, at most `limit`, where those of the pixels before do not serve; the index from which
    /// they count, and how many pixels have them.
    #[inline]
    fn next(&mut self, limit: usize, taps: &mut Taps<'_>) -> (usize, usize) {
        if self.ox >= self.out_w {
            (self.ox, self.oy) = (0, self.oy + 1);
            self.rows = Span::rows(self.window, self.input.shape, self.oy);
        }
        let ox = self.ox;
        let inside = self.inner.contains(&ox) && self.rows.len == usize::from(self.window.kernel_h);
        let left = (ox * usize::from(self.window.stride_w)).wrapping_sub(self.window.pad_left.into());
        let above = self.rows.kernel * self.rows.step;
        let row = self.rows.input.wrapping_sub(above).wrapping_sub(self.input.first_row.into());
        let column = row.wrapping_mul(self.input.shape.w.into()).wrapping_add(left);
        let base = column.wrapping_mul(self.input.shape.c.into());
        if !inside {
            self.ox += 1;
            self.is_inside = false;
            taps.cover(self.rows, Span::columns(self.window, self.input.shape, ox), base);
            return (base, 1);
        }
        if !self.is_inside {
            let (len, step) = (self.window.kernel_w.into(), self.window.dilation_w.into());
            taps.cover(self.rows, Span { kernel: 0, input: left, len, step }, base);
            self.is_inside = true;
        }
        let pixels = limit.min(self.inner.end - ox);
        self.ox += pixels;
        (base, pixels)
    }
}
