use super::instructions::{Runs, fill, multiply_lanes};
use super::lanes::{LanesEnd, LanesTile, Taps};
use crate::format::{DepthwiseConv2d, Element, Epilogue, Lanes};
use crate::kernels::window::{Span, positions};
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
    let mut taps = Taps::new(input.element() == Element::U8, input.codes.bytes(), zeros, places);
    let mut window = Sliding { op, input: &input, is_inside: false };
    let is_shift = matches!(op.weights.epilogue, Epilogue::Shift(_));
    let mut start = 0;
    for (oy, ox) in positions(&output) {
        let base = window.place(oy, ox, &mut taps);
        let end = if is_shift {
            let output = output.bytes.get_mut(start..).unwrap_or_default();
            LanesEnd::Codes { left_shifts: ends, activation: op.activation, output }
        } else {
            LanesEnd::Accumulators(ends)
        };
        multiply_lanes(LanesTile { weights: op.weights.codes, taps: &taps, base, bias, channels, end });
        if !is_shift {
            for (channel, acc) in ends.iter().enumerate().take(channels) {
                let code = op.weights.epilogue.channel(channel).apply::<LINKS>(acc.cast_signed(), op.activation);
                output.put(start + channel, code);
            }
        }
        start += channels;
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
        let left_shift = |shift: &u8| i32::from(shift.cast_signed()).wrapping_neg().cast_unsigned();
        match op.weights.epilogue {
            Epilogue::Shift([shift]) => self.ends.fill(left_shift(shift)),
            Epilogue::Shift(shifts) => {
                for (end, shift) in self.ends.iter_mut().zip(shifts) {
                    *end = left_shift(shift);
                }
            }
            Epilogue::Multiply(_) => {}
        }
        let [zero, _] = op.weights.epilogue.input_zero().to_le_bytes();
        fill(self.zeros, zero);
    }
}

/// A window on its way over the input.
struct Sliding<'a> {
    op: &'a DepthwiseConv2d<'a>,
    input: &'a View<'a>,
    /// The taps are those of a window inside the input, counted from its first one.
    is_inside: bool,
}

impl Sliding<'_> {
    /// Sets the taps of an output pixel, where those of the pixel before do not serve; the index from which they count.
    #[inline]
    fn place(&mut self, oy: usize, ox: usize, taps: &mut Taps<'_>) -> usize {
        let window = &self.op.window;
        let rows = Span::rows(window, self.input.shape, oy);
        let columns = Span::columns(window, self.input.shape, ox);
        let inside = rows.len == usize::from(window.kernel_h) && columns.len == usize::from(window.kernel_w);
        let first = self.input.place(rows.input, columns.input);
        if !(inside && self.is_inside) {
            self.set(rows, columns, (!inside).then_some(first), taps);
            self.is_inside = inside;
        }
        if inside { first } else { 0 }
    }

    /// Sets every tap; `first` is the index of the first one inside, `None` where all are, and count from it.
    #[inline(never)]
    fn set(&self, rows: Span, columns: Span, first: Option<usize>, taps: &mut Taps<'_>) {
        let (inside, first) = (first.is_none(), first.unwrap_or(0));
        let window = &self.op.window;
        let (row_step, step) = (rows.step * self.input.row_len(), columns.step * usize::from(self.input.shape.c));
        let mut tap = 0;
        taps.clear();
        for ky in 0..usize::from(window.kernel_h) {
            for kx in 0..usize::from(window.kernel_w) {
                let covered = rows.covers(ky) && columns.covers(kx);
                let index = covered.then(|| first + (ky - rows.kernel) * row_step + (kx - columns.kernel) * step);
                taps.set(tap, index);
                tap += 1;
            }
        }
        // A tap that evens their number has weights of 0.
        if !tap.is_multiple_of(2) {
            taps.set(tap, inside.then_some(0));
        }
    }
}
