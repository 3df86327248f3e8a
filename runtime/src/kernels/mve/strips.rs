//! Depthwise convolutions of windows that span at most four rows and columns: one multiplication an output.
//!
//! A strip is what one channel of a row of the output reads: of every column four codes, one below the other, that of the padded
//! row `r` at `r` modulo 4. A window is then 16 bytes of the strip, and its product with 16 weights one `VMLADAV`; what the window
//! does not reach has weights of zero. The weights turn by as many places as the window moves down. Of windows of three rows at most, which
//! move by one, a strip holds those of two rows of the output. It holds what is written over, so that the output may lie in the input's place.

use super::depthwise_conv2d::multiplier_bytes;
use super::ends;
use super::instructions::{Columns, Runs, StripRows, fill, load_columns, run_strips, turn};
use crate::arithmetic::Requantizer;
use crate::format::{DepthwiseConv2d, Element, Epilogue, Lanes, Links, Packing, Shape, TensorRecord, VECTOR, Window};
use crate::kernels::InOut;

/// Rows and columns of a window, at most.
pub(super) const SPAN: usize = 4;

/// Taps from which on a strip takes less time than lanes.
const LEAST_TAPS: usize = 6;

/// Pixels that the loop takes at a time.
pub(super) const STRIP_PIXELS: usize = 3;

/// Greatest columns of a strip, of which the loop counts the bytes of eight in 16 bits.
const MOST_COLUMNS: usize = 2048;

/// Bytes of the weights, biases and ends of 16 channels.
const CONSTANT_BYTES: usize = VECTOR * (VECTOR + 4 + 8);

/// Columns that a row of the output reads, in whole windows of the loop; `None` for layers that do not run by strips.
fn columns(window: &Window, output: Shape) -> Option<usize> {
    let [h, w, stride] = [window.kernel_h, window.kernel_w, window.stride_w].map(usize::from);
    let dense = [window.dilation_h, window.dilation_w] == [1, 1];
    let fits = dense && h <= SPAN && w <= SPAN && h * w >= LEAST_TAPS && usize::from(output.w) >= STRIP_PIXELS;
    let columns = usize::from(output.w).saturating_sub(1) * stride + SPAN;
    (fits && columns <= MOST_COLUMNS).then_some(columns)
}

/// Bytes of scratch with which a layer in [`Lanes`] runs strip by strip, whatever the alignment of the arena; `None` for layers that do
/// not: their windows are others, or a multiplication of theirs is followed by no right shift.
#[must_use]
pub fn strip_bytes(window: &Window, output: Shape, mut ends: impl Iterator<Item = Requantizer>) -> Option<usize> {
    let columns = columns(window, output)?;
    let has_end = ends.all(|end| !matches!(end, Requantizer::Multiply { shift: 0.., .. }));
    has_end.then_some(bytes_of(columns))
}

/// Whether a layer has the scratch to run strip by strip, and not that of lanes where they need more.
#[must_use]
pub fn runs_by_strips(op: &DepthwiseConv2d<'_>, output: &TensorRecord) -> bool {
    let epilogue = &op.weights.epilogue;
    let ends = (0..epilogue.len()).map(|channel| epilogue.channel(channel));
    let needed = strip_bytes(&op.window, output.shape, ends);
    let order = Lanes { taps: op.window.taps(), channels: output.shape.c.into() };
    let is_meant = |bytes| is_for_strips(bytes, (order, epilogue), op.weights.scratch.bytes as usize);
    op.weights.packing == Packing::Blocks && needed.is_some_and(is_meant)
}

const fn bytes_of(columns: usize) -> usize {
    VECTOR * SPAN * columns + CONSTANT_BYTES + 3
}

/// Whether scratch is meant for strips, which need so many bytes: not where lanes need more and have it, with what they end by.
const fn is_for_strips(needed: usize, (order, epilogue): (Lanes, &Epilogue<'_>), scratch_bytes: usize) -> bool {
    let multipliers = if matches!(epilogue, Epilogue::Multiply(_)) { multiplier_bytes(order) } else { 0 };
    let by_lanes = order.scratch_bytes() + multipliers;
    needed <= scratch_bytes && (by_lanes <= needed || scratch_bytes < by_lanes)
}

/// The parts of scratch.
struct Parts<'a> {
    bias: &'a mut [u32],
    ends: &'a mut [u32],
    /// Of each channel the weights of a window, those of four rows side by side.
    weights: &'a mut [u8],
    strips: &'a mut [u8],
}

impl<'a> Parts<'a> {
    fn new(scratch: &'a mut [u8], columns: usize) -> Option<Self> {
        let (_, words, _) = bytemuck::pod_align_to_mut::<u8, u32>(scratch);
        let (bias, rest) = words.split_at_mut_checked(VECTOR)?;
        let (ends, rest) = rest.split_at_mut_checked(2 * VECTOR)?;
        let (weights, rest) = rest.split_at_mut_checked(VECTOR * VECTOR / 4)?;
        let strips = rest.get_mut(..VECTOR * columns)?;
        Some(Self { bias, ends, weights: bytemuck::cast_slice_mut(weights), strips: bytemuck::cast_slice_mut(strips) })
    }
}

/// As [`depthwise_conv2d`](super::depthwise_conv2d), 16 channels of the whole image at a time; false, and nothing written, for layers
/// that are not run so, and where there is less scratch.
pub(super) fn by_strips<const LINKS: Links>(
    op: &DepthwiseConv2d<'_>,
    order: Lanes,
    operands: InOut<'_>,
    scratch: &mut [u8],
) -> bool {
    let unsigned = operands.operand_element() == Element::U8;
    let (input, codes, output) = match operands {
        InOut::InPlace(output, _) => (output.shape, None, output),
        InOut::Apart(input, output) => (input.shape, Some(input.bytes), output),
    };
    let Some(columns) = columns(&op.window, output.shape) else { return false };
    if !is_for_strips(bytes_of(columns), (order, &op.weights.epilogue), scratch.len()) {
        return false;
    }
    let Some(end) = ends::of_layer::<LINKS>(&op.weights.epilogue, op.activation) else { return false };
    let Some(mut parts) = Parts::new(scratch, columns) else { return false };
    let [zero, _] = op.weights.epilogue.input_zero().to_le_bytes();
    let padding = [zero; VECTOR];
    let [out_h, width, channels] = [output.shape.h, output.shape.w, output.shape.c].map(usize::from);
    let row_len = width * channels;
    let [stride, kernel_h, pad_top, pad_left] =
        [op.window.stride_h, op.window.kernel_h, op.window.pad_top, op.window.pad_left].map(usize::from);
    let [in_h, in_w] = [input.h, input.w].map(usize::from);
    let step = SPAN * columns;
    // Four rows of a strip hold the windows of two rows of the output.
    let by_twos = [op.window.stride_h, op.window.stride_w] == [1, 1] && kernel_h < SPAN;
    for first in (0..channels).step_by(VECTOR) {
        let count = VECTOR.min(channels - first);
        begin(op, order, first, &mut parts);
        fill(parts.strips, if unsigned { zero ^ 0x80 } else { zero });
        // Rows of padding above are there.
        let mut loaded = pad_top;
        let mut oy = 0;
        while oy < out_h {
            let rows = if by_twos { 2.min(out_h - oy) } else { 1 };
            while loaded < (oy + rows - 1) * stride + kernel_h {
                let row = loaded - pad_top;
                let codes = codes.unwrap_or(output.bytes);
                let start = row * in_w * channels + first;
                let (source, pitch) =
                    if row < in_h { (codes.get(start..).unwrap_or_default(), channels) } else { (&padding[..], 0) };
                let target = parts.strips.get_mut(SPAN * pad_left + loaded % SPAN..).unwrap_or_default();
                let inside = in_w.min(columns.saturating_sub(pad_left));
                load_columns(&Columns { unsigned, pitch, count: inside, step, channels: count }, source, target);
                loaded += 1;
            }
            let start = oy * row_len + first;
            run_strips::<LINKS>(StripRows {
                strips: parts.strips,
                step,
                weights: parts.weights,
                bias: parts.bias,
                ends: parts.ends,
                end,
                pixels: width,
                pixel_step: SPAN * usize::from(op.window.stride_w),
                channels: count,
                pitch: channels,
                below: (rows == 2).then_some(row_len),
                output: output.bytes.get_mut(start..).unwrap_or_default(),
            });
            turn(parts.weights, rows * stride % SPAN);
            oy += rows;
        }
    }
    true
}

/// The constants of 16 channels.
fn begin(op: &DepthwiseConv2d<'_>, order: Lanes, first: usize, parts: &mut Parts<'_>) {
    let bias = op.weights.bias.get(4 * first..).unwrap_or_default();
    let bias = bias.get(..4 * VECTOR).unwrap_or(bias);
    Runs::copy_all(false, bias, bytemuck::cast_slice_mut(parts.bias));
    match &op.weights.epilogue {
        Epilogue::Shift(shifts) => ends::write_shifts(shifts, first, parts.ends),
        Epilogue::Multiply(end) => ends::write_multipliers(end, first, parts.ends),
    }
    fill(parts.weights, 0);
    let kernel_w = usize::from(op.window.kernel_w);
    for ky in 0..op.window.kernel_h.into() {
        let source = op.weights.codes.get(order.place(ky * kernel_w, first)..).unwrap_or_default();
        let rows = Columns { unsigned: false, pitch: VECTOR, count: kernel_w, step: VECTOR, channels: VECTOR };
        load_columns(&rows, source, parts.weights.get_mut(ky..).unwrap_or_default());
    }
}
