//! Layers that accumulate products.

use super::node::{NodeCheck, shift_in_range};
use crate::arena::apart;
use crate::arithmetic::Requantizer;
use crate::error::{LoadError, NodeFault};
use crate::format::{
    Activation, Blocks, Conv2d, DepthwiseConv2d, Element, Epilogue, Fours, FullyConnected, Lanes, Links, Multiply,
    PLACES, Packing, Pairs, Quads, Runs, TensorRecord, TransposeConv2d, WeightBits, Weights, Winograd,
};
use crate::kernels::{AnyWidth, WeightCodes, dsp, mve};

/// Where the weights of an output channel lie.
#[derive(Clone, Copy)]
enum Layout {
    /// One channel behind the other, of so many weights each.
    Filters(usize),
    /// So many rows of all channels.
    Interleaved(usize),
    /// Packed for `SMLAD`.
    Pairs(Pairs),
    /// Packed in fours of channels.
    Quads(Quads),
    /// Packed for vectors.
    Blocks(Blocks),
    /// Packed for lanes of vectors.
    Lanes(Lanes),
    /// Packed for `MULS`, so many weights each.
    Fours(Fours, usize),
    /// Transformed.
    Winograd(Winograd),
}

impl<const LINKS: Links> NodeCheck<'_, LINKS> {
    pub(super) fn conv2d(&self, op: &Conv2d<'_>) -> Result<(), LoadError> {
        let input = self.input(op.input)?;
        self.windowed(&op.window, input.shape)?;
        let divides =
            op.groups > 0 && input.shape.c.is_multiple_of(op.groups) && self.output.shape.c.is_multiple_of(op.groups);
        self.require(divides, NodeFault::Groups)?;
        let in_ch = input.shape.c.checked_div(op.groups).unwrap_or(0);
        let layout = match op.weights.packing {
            Packing::Plain if Packing::Plain.is_in(LINKS) => {
                op.window.taps().checked_mul(in_ch.into()).map(Layout::Filters)
            }
            packing if packing.is_paired_in::<LINKS>() => {
                self.require(op.groups == 1, NodeFault::Packing)?;
                let runs = Runs::of_window(&op.window, in_ch.into());
                self.pairs(&op.weights, Pairs::of_tiles(packing, runs, op.weights.bits), dsp::CONV_COLUMNS)?
            }
            Packing::Blocks if Packing::Blocks.is_in(LINKS) => {
                self.require(op.groups == 1, NodeFault::Packing)?;
                let len = op.window.taps().saturating_mul(in_ch.into());
                let is_direct = |order: &Blocks| order.is_direct(&op.window, input.element);
                self.blocks(&input, &op.weights, len, mve::CONV_COLUMNS, is_direct)?
            }
            Packing::Fours if Packing::Fours.is_in(LINKS) => {
                self.require(op.groups == 1, NodeFault::Packing)?;
                let len = op.window.taps().checked_mul(in_ch.into());
                let column = |len| Fours::new(len).column_bytes() + self.bias_bytes();
                self.fours(&input, &op.weights, len.map_or(0, column))?;
                self.filters_of_fours(len)?
            }
            Packing::Winograd if Packing::Winograd.is_in(LINKS) => {
                let one = op.groups == 1 && op.weights.bits == WeightBits::Sixteen;
                self.require(one, NodeFault::Packing)?;
                let order = Winograd::new(&op.window, in_ch.into(), input.element);
                let scratch = order.map_or(0, |order| order.scratch_bytes());
                self.packed(&op.weights, scratch, order.map(Layout::Winograd))?
            }
            _ => self.not_linked()?,
        };
        self.weighted(&input, &op.weights, op.activation, layout)
    }

    pub(super) fn depthwise_conv2d(&self, op: &DepthwiseConv2d<'_>) -> Result<(), LoadError> {
        let input = self.input(op.input)?;
        self.windowed(&op.window, input.shape)?;
        self.require(self.output.shape.c.is_multiple_of(input.shape.c), NodeFault::Shape)?;
        let layout = match op.weights.packing {
            Packing::Plain if Packing::Plain.is_in(LINKS) => Some(Layout::Interleaved(op.window.taps())),
            packing if packing.is_paired_in::<LINKS>() => {
                let (in_ch, out_ch) = (input.shape.c.into(), self.output.shape.c.into());
                let order = Quads::new(&op.window, in_ch, out_ch, input.element);
                let order = order.filter(|_| op.weights.bits == WeightBits::Sixteen);
                Some(Layout::Quads(order.ok_or_else(|| self.fault(NodeFault::Packing))?))
            }
            Packing::Blocks if Packing::Blocks.is_in(LINKS) => {
                self.require(self.output.shape.c == input.shape.c, NodeFault::Packing)?;
                let order = Lanes::new(op.window.taps(), input.shape.c.into(), op.weights.bits, self.elements(&input));
                // Patches may be too small for strips, and rows that were passed are written over by lanes alone.
                let (x, y) = (input.region(), self.output.region());
                let is_whole = self.stage.is_none() && (x == y || apart(&x, &y));
                let by_strips = is_whole && mve::runs_by_strips(op, &self.output);
                let needed = order.filter(|_| !by_strips).map_or(0, |order| order.scratch_bytes());
                self.packed(&op.weights, needed, order.map(Layout::Lanes))?
            }
            Packing::Fours if Packing::Fours.is_in(LINKS) => {
                let packed = Fours::has_depthwise(&op.window, input.shape, self.output.shape.c);
                self.require(packed, NodeFault::Packing)?;
                self.fours(&input, &op.weights, self.bias_bytes() + 3)?;
                Some(Layout::Interleaved(op.window.taps()))
            }
            _ => self.not_linked()?,
        };
        self.weighted(&input, &op.weights, op.activation, layout)
    }

    pub(super) fn transpose_conv2d(&self, op: &TransposeConv2d<'_>) -> Result<(), LoadError> {
        let input = self.input(op.input)?;
        self.sized(op.window.transposed_size(input.shape.h, input.shape.w))?;
        self.plain(&op.weights)?;
        let filter_len = op.window.taps().checked_mul(input.shape.c.into());
        self.weighted(&input, &op.weights, op.activation, filter_len.map(Layout::Filters))
    }

    pub(super) fn fully_connected(&self, op: &FullyConnected<'_>) -> Result<(), LoadError> {
        let input = self.input(op.input)?;
        self.require((self.output.shape.h, self.output.shape.w) == (1, 1), NodeFault::Shape)?;
        let layout = match op.weights.packing {
            Packing::Plain if Packing::Plain.is_in(LINKS) => Some(Layout::Filters(input.shape.len())),
            packing if packing.is_paired_in::<LINKS>() => {
                let order = Pairs::new(Runs::whole(input.shape.len()), op.weights.bits);
                let dots = order.is_some_and(|order| order.has_dot(input.element)) && op.weights.scratch.bytes == 0;
                self.pairs(&op.weights, order, usize::from(!dots))?
            }
            Packing::Blocks if Packing::Blocks.is_in(LINKS) => {
                let is_direct = |order: &Blocks| order.is_whole(input.element);
                self.blocks(&input, &op.weights, input.shape.len(), 1, is_direct)?
            }
            Packing::Fours if Packing::Fours.is_in(LINKS) => {
                self.fours(&input, &op.weights, 0)?;
                self.filters_of_fours(Some(input.shape.len()))?
            }
            _ => self.not_linked()?,
        };
        self.weighted(&input, &op.weights, op.activation, layout)
    }

    /// A packing whose kernels the program has not: what follows is gone with the loops over its order.
    fn not_linked(&self) -> Result<Option<Layout>, LoadError> {
        Err(self.fault(NodeFault::Operator))
    }

    fn plain(&self, weights: &Weights<'_>) -> Result<(), LoadError> {
        self.require(weights.packing == Packing::Plain, NodeFault::Packing)
    }

    /// Weights packed for `SMLAD`, whose kernel makes the columns of so many pixels at a time.
    fn pairs(&self, weights: &Weights<'_>, order: Option<Pairs>, pixels: usize) -> Result<Option<Layout>, LoadError> {
        let needed = order.filter(|_| pixels != 0).map_or(0, |order| order.scratch_bytes(pixels));
        self.packed(weights, needed, order.map(Layout::Pairs))
    }

    /// Weights packed for vectors, `len` of a channel, whose kernel takes so many pixels at a time.
    fn blocks(
        &self,
        input: &TensorRecord,
        weights: &Weights<'_>,
        len: usize,
        pixels: usize,
        is_direct: impl Fn(&Blocks) -> bool,
    ) -> Result<Option<Layout>, LoadError> {
        let order = Blocks::new(len, weights.bits, self.elements(input));
        let needed = order.filter(|order| !is_direct(order)).map_or(0, |order| order.scratch_bytes(pixels));
        self.packed(weights, needed, order.map(Layout::Blocks))
    }

    const fn elements(&self, input: &TensorRecord) -> (Element, Element) {
        (input.element, self.output.element)
    }

    /// A layer that its packing serves, with as much scratch as its kernel needs.
    fn packed(
        &self,
        weights: &Weights<'_>,
        scratch_bytes: usize,
        layout: Option<Layout>,
    ) -> Result<Option<Layout>, LoadError> {
        self.require(layout.is_some(), NodeFault::Packing)?;
        self.require(weights.scratch.bytes as usize >= scratch_bytes, NodeFault::Scratch)?;
        Ok(layout)
    }

    /// Weights packed for `MULS`, whose kernel needs so many bytes of scratch.
    fn fours(&self, input: &TensorRecord, weights: &Weights<'_>, scratch: usize) -> Result<(), LoadError> {
        let bytes = weights.bits == WeightBits::Eight && input.element != Element::I16;
        self.require(bytes, NodeFault::Packing)?;
        self.require(weights.scratch.bytes as usize >= scratch, NodeFault::Scratch)
    }

    /// Channels of so many weights, packed for `MULS`.
    fn filters_of_fours(&self, len: Option<usize>) -> Result<Option<Layout>, LoadError> {
        let Some(len) = len else { return Ok(None) };
        let order = Fours::new(len);
        self.require(order.has(self.output.shape.c.into()), NodeFault::Packing)?;
        Ok(Some(Layout::Fours(order, len)))
    }

    fn bias_bytes(&self) -> usize {
        Fours::bias_bytes(self.output.shape.c.into())
    }

    /// Lengths, shifts and accumulator bounds of a layer with weights. Spec 2.2.
    fn weighted(
        &self,
        input: &TensorRecord,
        weights: &Weights<'_>,
        activation: Activation,
        layout: Option<Layout>,
    ) -> Result<(), LoadError> {
        self.activation(activation)?;
        self.epilogue(input, &weights.epilogue)?;
        let Some(layout) = layout else { return self.require(false, NodeFault::BlobLength) };
        let out_ch = usize::from(self.output.shape.c);
        let count = match layout {
            Layout::Filters(len) | Layout::Interleaved(len) => len.checked_mul(out_ch),
            Layout::Pairs(order) => Some(order.len(out_ch)),
            Layout::Quads(order) => Some(order.len()),
            Layout::Blocks(order) => Some(order.total(out_ch)),
            Layout::Lanes(order) => Some(order.total()),
            Layout::Fours(order, _) => Some(order.len(out_ch)),
            Layout::Winograd(order) => Some(order.len(out_ch)),
        };
        let expected = count.and_then(|count| weights.bits.bytes(count));
        let lengths = expected == Some(weights.codes.len())
            && weights.bias.len() == 4 * out_ch
            && (weights.epilogue.len() == 1 || weights.epilogue.len() == out_ch);
        self.require(lengths, NodeFault::BlobLength)?;
        self.bounded(input, weights, layout)
    }

    /// The scheme of a layer's end is that of its tensors.
    fn epilogue(&self, input: &TensorRecord, epilogue: &Epilogue<'_>) -> Result<(), LoadError> {
        match epilogue {
            Epilogue::Shift(_) => self.powers_of_two(input),
            Epilogue::Multiply(Multiply { multipliers, shifts, output_zero, input_zero }) => {
                self.require(multipliers.len() == shifts.len().saturating_mul(4), NodeFault::BlobLength)?;
                self.require((*input_zero, *output_zero) == (input.zero, self.output.zero), NodeFault::Scheme)
            }
        }
    }

    /// No accumulator can leave 32 bits, nor what is shifted left of it.
    fn bounded(&self, input: &TensorRecord, weights: &Weights<'_>, layout: Layout) -> Result<(), LoadError> {
        let codes = AnyWidth::new(weights.bits, weights.codes);
        let out_ch = usize::from(self.output.shape.c);
        for (oc, channel) in weights.channels().enumerate() {
            let left = match channel.requantizer {
                Requantizer::Shift(right_shift) => {
                    self.require(shift_in_range(right_shift), NodeFault::Shift)?;
                    0
                }
                Requantizer::Multiply { multiplier, shift, .. } => {
                    self.require(multiplier >= 0 && (-31..=30).contains(&shift), NodeFault::Shift)?;
                    shift.max(0)
                }
            };
            let mut bias = channel.bias;
            let magnitude = match layout {
                Layout::Filters(len) => sum_of_magnitudes(codes.from(oc * len).run(len).into_iter().flatten()),
                Layout::Interleaved(len) => sum_of_magnitudes(codes.from(oc).every(out_ch).take(len)),
                Layout::Pairs(order) if Packing::paired_in(LINKS) => self.packed_magnitude(codes, order, oc)?,
                Layout::Quads(order) if Packing::paired_in(LINKS) => {
                    let code = |tap| codes.code(order.place(oc, tap));
                    let again = |tap| order.second_place(oc, tap).is_none_or(|place| codes.code(place) == code(tap));
                    self.require((0..order.taps).all(again), NodeFault::Packing)?;
                    sum_of_magnitudes((0..order.taps).map(code))
                }
                Layout::Fours(order, len) if Packing::Fours.is_in(LINKS) => {
                    let weights = four_weights(codes, order, oc, len);
                    if input.element == Element::I8 {
                        bias = bias.wrapping_sub(Fours::offset(weights.clone().fold(0, i32::wrapping_add)));
                    }
                    sum_of_magnitudes(weights)
                }
                Layout::Blocks(order) if Packing::Blocks.is_in(LINKS) => self.blocks_magnitude(codes, order, oc)?,
                Layout::Lanes(order) if Packing::Blocks.is_in(LINKS) => self.lanes_magnitude(codes, order, oc)?,
                Layout::Winograd(order) if Packing::Winograd.is_in(LINKS) => {
                    self.transformed_magnitude(codes, order, oc)?
                }
                _ => return Err(self.fault(NodeFault::Operator)),
            };
            // What has an offset subtracted is no larger than a code with a sign.
            let greatest = match layout {
                Layout::Blocks(_) | Layout::Lanes(_) => Element::I8.max_abs(),
                _ => input.element.max_abs(),
            };
            let left = match layout {
                Layout::Pairs(order) => left.max(order.scaled_by() as i8),
                Layout::Winograd(_) => left.max(Winograd::SCALED_BY as i8),
                _ => left,
            };
            let bound = magnitude.saturating_mul(greatest) + i64::from(bias).abs();
            self.fits(oc, bound.saturating_mul(1 << left))?;
        }
        Ok(())
    }

    /// `sum(|w|)` of a channel; its padding must be 0, since it meets whatever lies behind a run of the input.
    fn packed_magnitude(&self, codes: impl WeightCodes, order: Pairs, channel: usize) -> Result<i64, LoadError> {
        let mut sum = 0;
        for run in 0..order.runs.count {
            for index in 0..order.run_len() {
                let weight = order.weight(channel, run * order.run_len() + index, |place| codes.code(place));
                self.require(weight == 0 || index < order.runs.len, NodeFault::Packing)?;
                sum += i64::from(weight.unsigned_abs());
            }
        }
        Ok(sum)
    }

    /// `sum(|w|)` of a channel, whose codes must be the transforms of weights.
    fn transformed_magnitude(
        &self,
        codes: impl WeightCodes,
        order: Winograd,
        channel: usize,
    ) -> Result<i64, LoadError> {
        let mut sum = 0;
        for in_ch in 0..order.in_ch {
            let mut places = [0; PLACES];
            for (index, place) in places.iter_mut().enumerate() {
                *place = codes.code(order.place(channel, in_ch, index)) as i16;
            }
            let weights = Winograd::weights(places).ok_or_else(|| self.fault(NodeFault::Packing))?;
            sum += sum_of_magnitudes(weights.into_iter());
        }
        Ok(sum)
    }

    /// As [`Self::packed_magnitude`].
    fn blocks_magnitude(&self, codes: impl WeightCodes, order: Blocks, channel: usize) -> Result<i64, LoadError> {
        let mut sum = 0;
        for index in 0..order.channel_len() {
            let code = codes.code(order.place(channel, index));
            self.require(code == 0 || index < order.len, NodeFault::Packing)?;
            sum += i64::from(code.unsigned_abs());
        }
        Ok(sum)
    }

    /// As [`Self::packed_magnitude`]; two products must fit 16 bits.
    fn lanes_magnitude(&self, codes: impl WeightCodes, order: Lanes, channel: usize) -> Result<i64, LoadError> {
        let mut sum = 0;
        for tap in 0..order.padded_taps() {
            let code = codes.code(order.place(tap, channel));
            self.require(code == 0 || tap < order.taps, NodeFault::Packing)?;
            self.require(code.unsigned_abs() <= 127, NodeFault::Packing)?;
            sum += i64::from(code.unsigned_abs());
        }
        Ok(sum)
    }
}

/// The weights of a channel that is packed for `MULS`.
fn four_weights(
    codes: impl WeightCodes,
    order: Fours,
    channel: usize,
    len: usize,
) -> impl Iterator<Item = i32> + Clone {
    (0..len).map(move |index| {
        let [code, ..] = codes.code(order.place(channel, index)).to_le_bytes();
        Fours::code(code.cast_signed()).into()
    })
}

fn sum_of_magnitudes(codes: impl Iterator<Item = i32>) -> i64 {
    codes.map(|code| i64::from(code.unsigned_abs())).sum()
}
