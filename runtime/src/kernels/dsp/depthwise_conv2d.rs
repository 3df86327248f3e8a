use super::instructions::depthwise;
use super::layer::end;
use super::scale::Scale;
use super::strips::by_strips;
use super::taps::Taps;
use super::tile::End;
use crate::format::{AFFINE_LINK, DepthwiseConv2d, Element, Quads, WeightBits};
use crate::kernels::window::{Span, positions};
use crate::kernels::{Bands, View, ViewMut};

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
pub fn depthwise_conv2d<const LINKS: u64>(op: &DepthwiseConv2d<'_>, bands: &mut Bands<'_>, scratch: &mut [u8]) {
    let end = end::<LINKS>(&op.weights, op.activation, bands.output().element);
    let done = WeightBits::Sixteen.is_in(LINKS)
        && bands.in_out().is_some_and(|operands| by_strips::<LINKS>(op, operands, scratch, end));
    if !done {
        bands.each(|x, y| by_pixels::<LINKS>(op, &x, y, end));
    }
}

/// Some rows of the output, pixel by pixel.
fn by_pixels<const LINKS: u64>(op: &DepthwiseConv2d<'_>, input: &View<'_>, mut output: ViewMut<'_>, end: End) {
    let channels = usize::from(input.shape.c);
    let order = Quads { taps: op.window.taps() };
    for (pixel, (oy, ox)) in positions(&output).enumerate() {
        let rows = Span::rows(&op.window, input.shape, oy);
        let columns = Span::columns(&op.window, input.shape, ox);
        let layer = Layer { op, input, order, rows, columns };
        // A dilated kernel may meet no input at all.
        let has_end = end != End::Accumulators && rows.len > 0 && columns.len > 0;
        if has_end && !layer.meets_offset::<LINKS>() {
            let bytes = output.bytes.get_mut(pixel * channels..).unwrap_or_default();
            let scale = Scale::new::<LINKS>(&op.weights.epilogue, 0);
            depthwise::<LINKS>(Taps { scale, ..layer.taps(0, channels / 4, bytes, end) });
        } else {
            layer.in_parts::<LINKS>(pixel, if has_end { end } else { End::Accumulators }, &mut output);
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
            input: self.input.bytes.get(start..).unwrap_or_default(),
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

    /// A few channels at a time: those whose bias is another one at this pixel, or whose end the inner loop has not.
    #[inline(never)]
    fn in_parts<const LINKS: u64>(&self, pixel: usize, end: End, output: &mut ViewMut<'_>) {
        let channels = usize::from(self.input.shape.c);
        for quad in (0..channels / 4).step_by(QUADS_AT_A_TIME) {
            let count = QUADS_AT_A_TIME.min(channels / 4 - quad);
            let bias = self.bias::<LINKS>(quad, count);
            let bias = bias.get(..16 * count).unwrap_or_default();
            if end == End::Accumulators {
                self.slow::<LINKS>(pixel, quad, bias, output);
                continue;
            }
            let bytes = output.bytes.get_mut(pixel * channels + 4 * quad..).unwrap_or_default();
            let scale = Scale::new::<LINKS>(&self.op.weights.epilogue, 4 * quad);
            depthwise::<LINKS>(Taps { scale, bias, ..self.taps(quad, count, bytes, end) });
        }
    }

    fn slow<const LINKS: u64>(&self, pixel: usize, quad: usize, bias: &[u8], output: &mut ViewMut<'_>) {
        let channels = usize::from(self.input.shape.c);
        let mut accumulators = Accumulators([0; 16 * QUADS_AT_A_TIME]);
        if self.rows.len == 0 || self.columns.len == 0 {
            for (target, byte) in accumulators.0.iter_mut().zip(bias) {
                *target = *byte;
            }
        }
        let taps = self.taps(quad, bias.len() / 16, &mut accumulators.0, End::Accumulators);
        depthwise::<LINKS>(Taps { bias, ..taps });
        for (index, acc) in accumulators.0.as_chunks::<4>().0.iter().enumerate().take(bias.len() / 4) {
            let channel = 4 * quad + index;
            let requantizer = self.op.weights.epilogue.channel(channel);
            let code = requantizer.apply::<LINKS>(i32::from_le_bytes(*acc), self.op.activation);
            output.put(pixel * channels + channel, code);
        }
    }

    /// Whether the window reaches over padding whose code is not 0. Spec 3.4.
    fn meets_offset<const LINKS: u64>(&self) -> bool {
        let (kernel_h, kernel_w) = (usize::from(self.op.window.kernel_h), usize::from(self.op.window.kernel_w));
        let whole = self.rows.len == kernel_h && self.columns.len == kernel_w;
        LINKS & AFFINE_LINK != 0 && !whole && self.op.weights.epilogue.input_zero() != 0
    }

    /// The biases of some quads, with what the padding contributes.
    fn bias<const LINKS: u64>(&self, quad: usize, count: usize) -> [u8; 16 * QUADS_AT_A_TIME] {
        let mut bytes = [0; 16 * QUADS_AT_A_TIME];
        let mut sums = [[0; 4]; QUADS_AT_A_TIME];
        if self.meets_offset::<LINKS>() {
            self.sum_padding(quad, &mut sums);
        }
        let zero = i32::from(self.op.weights.epilogue.input_zero());
        let given = self.op.weights.bias.get(16 * quad..).unwrap_or_default();
        let given = given.get(..16 * count).unwrap_or_default().as_chunks::<4>().0;
        let targets = bytes.as_chunks_mut::<4>().0.iter_mut();
        for ((target, given), sum) in targets.zip(given).zip(sums.as_flattened()) {
            *target = (i32::from_le_bytes(*given) + zero * sum).to_le_bytes();
        }
        bytes
    }

    /// Adds the weights that lie over padding.
    fn sum_padding(&self, quad: usize, sums: &mut [[i32; 4]; QUADS_AT_A_TIME]) {
        let (kernel_h, kernel_w) = (usize::from(self.op.window.kernel_h), usize::from(self.op.window.kernel_w));
        for (ky, kx) in (0..kernel_h).flat_map(|ky| (0..kernel_w).map(move |kx| (ky, kx))) {
            if self.rows.covers(ky) && self.columns.covers(kx) {
                continue;
            }
            for (index, [a, b, c, d]) in sums.iter_mut().enumerate() {
                let tap = (quad + index) * self.order.taps + ky * kernel_w + kx;
                let codes = self.op.weights.codes.get(8 * tap..).and_then(|codes| codes.first_chunk::<8>());
                let Some([a0, a1, c0, c1, b0, b1, d0, d1]) = codes else { break };
                // The channels 0, 2, 1, 3.
                *a += i32::from(i16::from_le_bytes([*a0, *a1]));
                *b += i32::from(i16::from_le_bytes([*b0, *b1]));
                *c += i32::from(i16::from_le_bytes([*c0, *c1]));
                *d += i32::from(i16::from_le_bytes([*d0, *d1]));
            }
        }
    }
}
