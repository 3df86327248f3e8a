use super::instructions::depthwise;
use super::layer::end;
use super::scale::Scale;
use super::strips::by_strips;
use super::taps::Taps;
use super::tile::End;
use crate::format::{AFFINE_LINK, DepthwiseConv2d, Element, Quads, WeightBits};
use crate::kernels::window::{Span, positions};
use crate::kernels::{View, ViewMut};

/// Quads of channels whose accumulators are taken out of the inner loop at a time.
const QUADS_AT_A_TIME: usize = 4;

/// Accumulators, aligned as words.
#[repr(align(4))]
struct Accumulators([u8; 16 * QUADS_AT_A_TIME]);

/// Depthwise 2-D convolution of one output channel an input channel, weights in [`Quads`]. Spec 4.2.
///
/// input    `[H, W, C]`          i8 or u8 codes at the input's step
/// weights  `[1, K_H, K_W, C]`   16 bits, packed
/// bias     `[C]`                i32, rounding constant included
/// output   `[H_OUT, W_OUT, C]`  codes at the output's step
/// scratch  [`strip_bytes`](super::strip_bytes), where the exporter spends them
pub fn depthwise_conv2d<const LINKS: u64>(
    op: &DepthwiseConv2d<'_>,
    input: View<'_>,
    mut output: ViewMut<'_>,
    scratch: &mut [u8],
) {
    let channels = usize::from(input.shape.c);
    let end = end::<LINKS>(&op.weights, op.activation, output.element);
    if WeightBits::Sixteen.is_in(LINKS) && by_strips::<LINKS>(op, &input, &mut output, scratch, end) {
        return;
    }
    let order = Quads { taps: op.window.taps() };
    for (pixel, (oy, ox)) in positions(&output).enumerate() {
        let rows = Span::rows(&op.window, input.shape, oy);
        let columns = Span::columns(&op.window, input.shape, ox);
        let layer = Layer { op, input: &input, order, rows, columns };
        // A dilated kernel may meet no input at all; padding that is no 0 is not multiplied in the loop.
        if end == End::Accumulators || rows.len == 0 || columns.len == 0 || layer.meets_offset::<LINKS>() {
            layer.slow::<LINKS>(pixel, &mut output);
        } else {
            let bytes = output.bytes.get_mut(pixel * channels..).unwrap_or_default();
            let scale = Scale::new::<LINKS>(&op.weights.epilogue, 0);
            depthwise::<LINKS>(Taps { scale, ..layer.taps(0, channels / 4, bytes, end) });
        }
    }
}

/// A layer over one pixel.
struct Layer<'a> {
    op: &'a DepthwiseConv2d<'a>,
    input: &'a View<'a>,
    order: Quads,
    rows: Span,
    columns: Span,
}

impl Layer<'_> {
    /// Some quads of the pixel, as the inner loop takes them.
    fn taps<'t>(&'t self, quad: usize, count: usize, output: &'t mut [u8], end: End) -> Taps<'t> {
        let (weights, window) = (&self.op.weights, &self.op.window);
        let kernel_w = usize::from(window.kernel_w);
        let first_tap = self.rows.kernel * kernel_w + self.columns.kernel;
        let channels = usize::from(self.input.shape.c);
        let start = self.input.place(self.rows.input, self.columns.input) + 4 * quad;
        Taps {
            signed: self.input.element() == Element::I8,
            input: self.input.codes.bytes().get(start..).unwrap_or_default(),
            weights: weights.codes.get(8 * (quad * self.order.taps + first_tap)..).unwrap_or_default(),
            bias: weights.bias.get(16 * quad..).and_then(|bias| bias.get(..16 * count)).unwrap_or_default(),
            scale: Scale::NONE,
            output,
            rows: self.rows.len,
            columns: self.columns.len,
            row_step: self.rows.step * self.input.row_len(),
            column_step: self.columns.step * channels,
            kernel_h: window.kernel_h.into(),
            kernel_w,
            end,
        }
    }

    /// Channels whose end the inner loop has not.
    #[inline(never)]
    fn slow<const LINKS: u64>(&self, pixel: usize, output: &mut ViewMut<'_>) {
        let channels = usize::from(self.input.shape.c);
        let epilogue = self.op.weights.epilogue;
        for quad in (0..channels / 4).step_by(QUADS_AT_A_TIME) {
            let count = QUADS_AT_A_TIME.min(channels / 4 - quad);
            let mut accumulators = Accumulators([0; 16 * QUADS_AT_A_TIME]);
            let taps = self.taps(quad, count, &mut accumulators.0, End::Accumulators);
            if self.rows.len == 0 || self.columns.len == 0 {
                for (target, byte) in taps.output.iter_mut().zip(taps.bias) {
                    *target = *byte;
                }
            }
            depthwise::<LINKS>(taps);
            for (index, acc) in accumulators.0.as_chunks::<4>().0.iter().enumerate().take(4 * count) {
                let channel = 4 * quad + index;
                let acc = i32::from_le_bytes(*acc) + self.padding::<LINKS>(channel);
                output
                    .put(pixel * channels + channel, epilogue.channel(channel).apply::<LINKS>(acc, self.op.activation));
            }
        }
    }

    /// Whether the window reaches over padding whose code is not 0. Spec 3.4.
    fn meets_offset<const LINKS: u64>(&self) -> bool {
        let (kernel_h, kernel_w) = (usize::from(self.op.window.kernel_h), usize::from(self.op.window.kernel_w));
        let whole = self.rows.len == kernel_h && self.columns.len == kernel_w;
        LINKS & AFFINE_LINK != 0 && !whole && self.op.weights.epilogue.input_zero() != 0
    }

    /// What the padding contributes to a channel.
    fn padding<const LINKS: u64>(&self, channel: usize) -> i32 {
        if !self.meets_offset::<LINKS>() {
            return 0;
        }
        let zero = i32::from(self.op.weights.epilogue.input_zero());
        let (kernel_h, kernel_w) = (usize::from(self.op.window.kernel_h), usize::from(self.op.window.kernel_w));
        let (codes, _) = self.op.weights.codes.as_chunks::<2>();
        let code = |tap: usize| codes.get(self.order.place(channel, tap)).map_or(0, |code| i16::from_le_bytes(*code));
        let mut sum = 0;
        for ky in 0..kernel_h {
            for kx in 0..kernel_w {
                if !(self.rows.covers(ky) && self.columns.covers(kx)) {
                    sum += i32::from(code(ky * kernel_w + kx));
                }
            }
        }
        zero * sum
    }
}
