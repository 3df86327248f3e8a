use super::instructions::multiply_taps;
use super::layer::{Layer, words};
use super::taps::Taps;
use super::tile::{CHANNELS, Target};
use crate::format::{DepthwiseConv2d, Links};
use crate::kernels::window::Span;
use crate::kernels::{Bytes, View, ViewMut, WeightCodes};

/// Depthwise 2-D convolution of at least four channels, one output of each. Spec 4.2.
///
/// input    `[H, W, C]`          codes of 8 bits at the input's step
/// weights  `[1, K_H, K_W, C]`   8 bits
/// bias     `[C]`                i32, rounding constant included
/// output   `[H_OUT, W_OUT, C]`  codes at the output's step
/// scratch  [`Fours::bias_bytes`](crate::format::Fours::bias_bytes)
pub fn depthwise_conv2d<const LINKS: Links>(
    op: &DepthwiseConv2d<'_>,
    input: View<'_>,
    mut output: ViewMut<'_>,
    scratch: &mut [u8],
) {
    let channels = usize::from(output.shape.c);
    let words = words(scratch, channels.next_multiple_of(CHANNELS));
    let layer = Layer::new(&op.weights, words, op.activation, output.element);
    let window = Depthwise { op, input, layer };
    let w = usize::from(output.shape.w);
    let row_len = w * channels;
    for (row, first) in (0..output.len()).step_by(row_len.max(1)).enumerate() {
        let rows = Span::rows::<LINKS>(&op.window, input.shape, output.first_row + row);
        for ox in 0..w {
            let columns = Span::columns::<LINKS>(&op.window, input.shape, ox);
            window.pixel::<LINKS>(rows, columns, first + ox * channels, &mut output);
        }
    }
}

struct Depthwise<'a> {
    op: &'a DepthwiseConv2d<'a>,
    input: View<'a>,
    layer: Layer<'a>,
}

impl Depthwise<'_> {
    /// All channels of the pixel whose first code has index `first`.
    fn pixel<const LINKS: Links>(&self, rows: Span, columns: Span, first: usize, output: &mut ViewMut<'_>) {
        let channels = usize::from(output.shape.c);
        let last = channels.saturating_sub(CHANNELS);
        if self.layer.has_end && rows.len > 0 && columns.len > 0 {
            let whole = channels / CHANNELS * CHANNELS;
            // The last channels are computed with some before them, once more.
            for (channel, count) in [(0, whole), (last, CHANNELS)] {
                if channel + count > whole || channel == 0 {
                    let bytes = output.bytes.get_mut(first + channel..).unwrap_or_default();
                    multiply_taps(self.taps(rows, columns, channel, count, self.layer.codes(channel, bytes)));
                }
            }
            return;
        }
        for channel in (0..channels).step_by(CHANNELS) {
            self.slow::<LINKS>(rows, columns, channel.min(last), first, output);
        }
    }

    fn taps<'t>(&'t self, rows: Span, columns: Span, channel: usize, count: usize, target: Target<'t>) -> Taps<'t> {
        let channels = usize::from(self.input.shape.c);
        let kernel_w = usize::from(self.op.window.kernel_w);
        let place = self.input.place(rows.input, columns.input) + channel;
        let tap = (rows.kernel * kernel_w + columns.kernel) * channels + channel;
        Taps {
            element: self.input.element(),
            input: self.input.bytes.get(place..).unwrap_or_default(),
            input_steps: [columns.step * channels, rows.step * self.input.row_len()],
            weights: self.op.weights.codes.get(tap..).unwrap_or_default(),
            weight_steps: [channels, kernel_w * channels],
            counts: [columns.len, rows.len],
            biases: self.layer.biases(channel, count),
            target,
        }
    }

    /// Four channels whose end no inner loop has, or whose window meets no input.
    #[inline(never)]
    fn slow<const LINKS: Links>(
        &self,
        rows: Span,
        columns: Span,
        channel: usize,
        first: usize,
        output: &mut ViewMut<'_>,
    ) {
        let mut accumulators = [0; CHANNELS];
        for (acc, bias) in accumulators.iter_mut().zip(self.layer.biases(channel, CHANNELS)) {
            *acc = *bias;
        }
        multiply_taps(self.taps(rows, columns, channel, CHANNELS, Target::Accumulators(&mut accumulators)));
        let zero = self.op.weights.epilogue.linked_zero::<LINKS>();
        for (oc, acc) in (channel..).zip(accumulators) {
            let padding = if zero == 0 { 0 } else { zero.wrapping_mul(self.sum_of_padded(rows, columns, oc)) };
            self.layer.finish::<LINKS>(acc.wrapping_add(padding), oc, first, output);
        }
    }

    /// `sum(w)` of a channel over the taps that meet no input. Spec 3.4.
    fn sum_of_padded(&self, rows: Span, columns: Span, channel: usize) -> i32 {
        let weights = Bytes(bytemuck::must_cast_slice(self.op.weights.codes));
        let taps = (0..self.op.window.kernel_h.into())
            .flat_map(|ky| (0..self.op.window.kernel_w.into()).map(move |kx| (ky, kx)));
        let of_channel = taps.zip(weights.from(channel).every(self.input.shape.c.into()));
        let padded = of_channel.filter(|((ky, kx), _)| !rows.covers(*ky) || !columns.covers(*kx));
        padded.fold(0, |sum, (_, w)| sum.wrapping_add(w))
    }
}
