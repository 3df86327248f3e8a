use core::ops::Range;

use super::instructions::depthwise;
use super::layer::end;
use super::scale::Scale;
use super::strips::by_strips;
use super::taps::Taps;
use super::tile::End;
use crate::format::{DepthwiseConv2d, Detail, Element, Links, Quads, WeightBits};
use crate::kernels::window::{Span, positions};
use crate::kernels::{Bands, View, ViewMut};

/// Quads of channels whose accumulators are taken out of the inner loop at a time.
const QUADS_AT_A_TIME: usize = 8;

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
pub fn depthwise_conv2d<const LINKS: Links>(
    op: &DepthwiseConv2d<'_>,
    bands: &mut Bands<'_, LINKS>,
    scratch: &mut [u8],
) {
    let end = end::<LINKS>(&op.weights, op.activation, bands.output().element);
    let done = WeightBits::Sixteen.is_in(LINKS)
        && bands.in_out().is_some_and(|operands| by_strips::<LINKS>(op, operands, scratch, end));
    if !done && Detail::DepthwisePixels.is_in(LINKS) {
        bands.each(|x, y| by_pixels::<LINKS>(op, &x, y, end));
    }
}

/// Some rows of the output, pixel by pixel.
fn by_pixels<const LINKS: Links>(op: &DepthwiseConv2d<'_>, input: &View<'_>, mut output: ViewMut<'_>, end: End) {
    let channels = usize::from(input.shape.c);
    let order = Quads { taps: op.window.taps(), channels };
    for (pixel, (oy, ox)) in positions(&output).enumerate() {
        let rows = Span::rows::<LINKS>(&op.window, input.shape, oy);
        let columns = Span::columns::<LINKS>(&op.window, input.shape, ox);
        let layer = Layer { op, input, order, rows, columns };
        // A dilated kernel may meet no input at all.
        let has_end = end != End::Accumulators && rows.len > 0 && columns.len > 0;
        if has_end && !layer.meets_offset::<LINKS>() {
            let bytes = output.bytes.get_mut(pixel * channels..).unwrap_or_default();
            let scale = Scale::new::<LINKS>(&op.weights.epilogue, 0);
            let all = Group { channel: 0, quad: 0, channels };
            depthwise::<LINKS>(Taps { scale, ..layer.taps(all, bytes, end) });
        } else {
            layer.in_parts::<LINKS>(pixel, if has_end { end } else { End::Accumulators }, &mut output);
        }
    }
}

/// Channels whose weights are side by side.
#[derive(Clone, Copy)]
struct Group {
    /// The first one.
    channel: usize,
    /// Where its weights are: four channels a quad.
    quad: usize,
    channels: usize,
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
    /// The last four channels, where some of them are in no whole four; the others are computed once more.
    const fn last_quad<const LINKS: Links>(&self) -> Option<Group> {
        let channels = self.order.channels;
        if Detail::LastQuad.is_in(LINKS) && !channels.is_multiple_of(4) && channels > 4 {
            Some(Group { channel: channels - 4, quad: channels / 4, channels: 4 })
        } else {
            None
        }
    }

    /// Some channels of the pixel, as the inner loop takes them.
    fn taps<'t>(&'t self, group: Group, output: &'t mut [u8], end: End) -> Taps<'t> {
        let Group { channel, quad, channels } = group;
        let (weights, window) = (&self.op.weights, &self.op.window);
        let kernel_w = usize::from(window.kernel_w);
        let first_tap = self.rows.kernel * kernel_w + self.columns.kernel;
        let start = self.input.place(self.rows.input, self.columns.input) + channel;
        Taps {
            signed: self.input.element() == Element::I8,
            input: self.input.bytes.get(start..).unwrap_or_default(),
            weights: weights.codes.get(8 * (quad * self.order.taps + first_tap)..).unwrap_or_default(),
            bias: weights.bias.get(4 * channel..).and_then(|bias| bias.get(..4 * channels)).unwrap_or_default(),
            scale: Scale::NONE,
            output,
            rows: self.rows.len,
            columns: self.columns.len,
            row_step: self.rows.step * self.input.row_len(),
            column_step: self.columns.step * self.order.channels,
            kernel_h: window.kernel_h.into(),
            kernel_w,
            end,
        }
    }

    /// A few channels at a time: those whose bias is another one at this pixel, or whose end the inner loop has not.
    #[inline(never)]
    fn in_parts<const LINKS: Links>(&self, pixel: usize, end: End, output: &mut ViewMut<'_>) {
        let quads = self.order.channels / 4;
        for quad in (0..quads).step_by(QUADS_AT_A_TIME) {
            let channels = 4 * QUADS_AT_A_TIME.min(quads - quad);
            self.part::<LINKS>(Group { channel: 4 * quad, quad, channels }, pixel, end, output);
        }
        if let Some(last) = self.last_quad::<LINKS>() {
            self.part::<LINKS>(last, pixel, end, output);
        }
    }

    /// Fours of channels, at most [`QUADS_AT_A_TIME`].
    fn part<const LINKS: Links>(&self, group: Group, pixel: usize, end: End, output: &mut ViewMut<'_>) {
        let Group { channel, quad, channels } = group;
        let mut sums = Accumulators([0; 16 * QUADS_AT_A_TIME]);
        let mut bias = self.op.weights.bias.get(4 * channel..4 * (channel + channels)).unwrap_or_default();
        if self.meets_offset::<LINKS>() {
            self.sum_padding::<LINKS>(quad, bias, &mut sums);
            bias = sums.0.get(..4 * channels).unwrap_or_default();
        }
        if end == End::Accumulators {
            return self.slow::<LINKS>(pixel, group, bias, output);
        }
        let bytes = output.bytes.get_mut(pixel * self.order.channels + channel..).unwrap_or_default();
        let scale = Scale::new::<LINKS>(&self.op.weights.epilogue, channel);
        depthwise::<LINKS>(Taps { scale, bias, ..self.taps(group, bytes, end) });
    }

    fn slow<const LINKS: Links>(&self, pixel: usize, group: Group, bias: &[u8], output: &mut ViewMut<'_>) {
        let mut accumulators = Accumulators([0; 16 * QUADS_AT_A_TIME]);
        if self.rows.len == 0 || self.columns.len == 0 {
            for (target, byte) in accumulators.0.iter_mut().zip(bias) {
                *target = *byte;
            }
        }
        depthwise::<LINKS>(Taps { bias, ..self.taps(group, &mut accumulators.0, End::Accumulators) });
        for (index, acc) in accumulators.0.as_chunks::<4>().0.iter().enumerate().take(bias.len() / 4) {
            let channel = group.channel + index;
            let requantizer = self.op.weights.epilogue.channel(channel);
            let code = requantizer.apply::<LINKS>(i32::from_le_bytes(*acc), self.op.activation);
            output.put(pixel * self.order.channels + channel, code);
        }
    }

    /// Whether the window reaches over padding whose code is not 0. Spec 3.4.
    fn meets_offset<const LINKS: Links>(&self) -> bool {
        let (kernel_h, kernel_w) = (usize::from(self.op.window.kernel_h), usize::from(self.op.window.kernel_w));
        let whole = self.rows.len == kernel_h && self.columns.len == kernel_w;
        Detail::DepthwisePadding.is_in(LINKS) && !whole && self.op.weights.epilogue.input_zero() != 0
    }

    /// The biases of some quads and what padding contributes whose code is not 0. Spec 3.4.
    fn sum_padding<const LINKS: Links>(&self, quad: usize, bias: &[u8], sums: &mut Accumulators) {
        let mut so_far = bias;
        let mut before;
        for [rows, columns] in self.over_padding() {
            if !rows.is_empty() && !columns.is_empty() {
                self.add_padding::<LINKS>([rows, columns], quad, so_far, &mut sums.0);
                before = sums.0;
                so_far = before.get(..bias.len()).unwrap_or_default();
            }
        }
    }

    /// Rows and columns of the kernel that meet no input: above, below, left and right of those that do.
    fn over_padding(&self) -> [[Range<usize>; 2]; 4] {
        let (kernel_h, kernel_w) = (usize::from(self.op.window.kernel_h), usize::from(self.op.window.kernel_w));
        let meet = |span: Span, kernel: usize| {
            let first = span.kernel.min(kernel);
            first..(first + span.len).min(kernel)
        };
        let (rows, columns) = (meet(self.rows, kernel_h), meet(self.columns, kernel_w));
        [
            [0..rows.start, 0..kernel_w],
            [rows.end..kernel_h, 0..kernel_w],
            [rows.clone(), 0..columns.start],
            [rows, columns.end..kernel_w],
        ]
    }

    /// Adds to biases the products of a part of the kernel and the code that all of its input has.
    fn add_padding<const LINKS: Links>(
        &self,
        [rows, columns]: [Range<usize>; 2],
        quad: usize,
        bias: &[u8],
        sums: &mut [u8],
    ) {
        let weights = &self.op.weights;
        let (kernel_h, kernel_w) = (usize::from(self.op.window.kernel_h), usize::from(self.op.window.kernel_w));
        let first = quad * self.order.taps + rows.start * kernel_w + columns.start;
        let zeros = [weights.epilogue.input_zero() as u8; 4 * QUADS_AT_A_TIME];
        depthwise::<LINKS>(Taps {
            signed: self.input.element() == Element::I8,
            input: &zeros,
            weights: weights.codes.get(8 * first..).unwrap_or_default(),
            bias,
            scale: Scale::NONE,
            output: sums,
            rows: rows.len(),
            columns: columns.len(),
            row_step: 0,
            column_step: 0,
            kernel_h,
            kernel_w,
            end: End::Accumulators,
        });
    }
}
