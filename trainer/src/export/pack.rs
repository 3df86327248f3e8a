//! Weights in the order of a backend's kernels.

use stepshift_runtime::Backend;
use stepshift_runtime::arithmetic::Requantizer;
use stepshift_runtime::format::{
    Blocks, Element, Fours, Lanes, PLACES, Packing, Pairs, Quads, Runs, Shape, WeightBits, Winograd, code_offset,
};
use stepshift_runtime::kernels::{dsp, mve};

use super::Prefer;
use super::bounds::{ChannelBound, channel_bounds};
use super::budget::fastest_within;
use super::fixed_point::{FixedPointLayer, FixedPointNetwork, FixedPointOp, FixedPointTensor, FixedPointWeights};
use super::patches::stage_of;
use super::plan::{Over, Room, least_bytes};
use super::strips::strips_win;

/// What each layer needs of the arena on a backend, memory first.
#[must_use]
pub fn rooms(network: &FixedPointNetwork, backend: Backend) -> Vec<Room> {
    rooms_of(&memory_first(network, backend))
}

/// Every layer as a backend has it.
pub(super) fn packed(network: &FixedPointNetwork, backend: Backend, prefer: Prefer) -> Vec<Packed> {
    match prefer {
        Prefer::Memory => memory_first(network, backend),
        Prefer::Speed => layers(network, backend, Kernel::Fastest).into_iter().map(Packed::in_less_time).collect(),
        Prefer::SpeedWithin(bytes) => fastest_within(network, backend, bytes),
    }
}

/// Every layer with the least that its kernel needs of the arena.
pub(super) fn layers(network: &FixedPointNetwork, backend: Backend, kernel: Kernel) -> Vec<Packed> {
    let packed = |layer| Packed::new(network, layer, backend, kernel);
    let mut layers: Vec<Packed> = network.layers.iter().map(packed).collect();
    // Patches may be too small for the strips of vectors, whose layers have the scratch of lanes then.
    for layer in stage_of(network).map(|stage| stage.layers).into_iter().flatten() {
        layers[layer].fast = layers[layer].fast.filter(|_| !matches!(layers[layer].order, Order::Lanes(_)));
    }
    layers
}

/// Scratch that spares time is spent where the arena is no larger for it.
pub(super) fn memory_first(network: &FixedPointNetwork, backend: Backend) -> Vec<Packed> {
    let mut packed = layers(network, backend, Kernel::Smallest);
    if packed.iter().all(|packed| packed.fast.is_none()) {
        return packed;
    }
    let mut rooms = rooms_of(&packed);
    let least = least_bytes(network, &rooms);
    for (layer, packed) in packed.iter_mut().enumerate() {
        let Some(fast) = packed.fast else { continue };
        rooms[layer] = fast;
        if least_bytes(network, &rooms) <= least {
            packed.room = fast;
        } else {
            rooms[layer] = packed.room;
        }
    }
    packed
}

/// What the layers need of the arena.
pub(super) fn rooms_of(packed: &[Packed]) -> Vec<Room> {
    packed.iter().map(|packed| packed.room).collect()
}

/// What a layer's kernel spares.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kernel {
    /// Flash and RAM.
    Smallest,
    /// Time, without the scratch of Winograd's tiles.
    Fast,
    /// Time.
    Fastest,
}

/// Pixels of the output from which on a weight is stored in 16 bits though flash is to be spared: its second byte spares an instruction
/// for every sixteen products of four pixels, 128 instructions for each byte and more.
const USES_WORTH_A_BYTE: usize = 2048;

/// Pixels of the output from which on a weight whose width the backend has no kernel for is stored in the next that it has: plain
/// kernels take some 20 instructions more for each product.
const USES_WORTH_A_WIDTH: usize = 4;

/// How often a layer uses each of its weights.
fn uses(layer: &FixedPointLayer) -> usize {
    usize::from(layer.output.shape.h) * usize::from(layer.output.shape.w)
}

/// Whether a fully connected layer for `SMLAD` needs no column, and whether it takes less time without: for each four codes, two channels
/// take 12 instructions then, 15 by weights of 4 bits, with a column 10 and 13, by weights of 16 bits 6; the column takes 6 for each
/// four, and some 170 to begin with.
fn dots(layer: &FixedPointLayer, input: FixedPointTensor, bits: WeightBits, kernel: Kernel) -> Option<bool> {
    let FixedPointOp::FullyConnected { weights } = &layer.op else { return None };
    let order = Pairs::new(Runs::whole(input.shape.len()), bits).filter(|order| order.has_dot(input.element))?;
    let (quads, pairs) = (order.channel_len() / 4, weights.bias.len().div_ceil(2));
    let longer = match (kernel, bits) {
        (Kernel::Smallest, _) => 2,
        (_, WeightBits::Four) => 9,
        _ => 6,
    };
    Some(longer * pairs * quads < 6 * quads + 170)
}

/// How a layer's weights are stored, and what their kernel needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Packed {
    /// Width in the file.
    pub(super) bits: WeightBits,
    /// What their kernel needs of the arena.
    pub(super) room: Room,
    /// What it needs to take less time.
    fast: Option<Room>,
    order: Order,
    /// What the kernel subtracts from every input.
    offset: i16,
}

/// Places of the codes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Order {
    Plain,
    Pairs(Pairs, Packing),
    Quads(Quads),
    Blocks(Blocks),
    Lanes(Lanes),
    Fours(Fours),
    /// The operator's own order, for the kernels of [`Fours`].
    DepthwiseFours,
    Winograd(Winograd),
}

impl Packed {
    /// What `backend` has for a layer: plain weights where it has nothing.
    fn new(network: &FixedPointNetwork, layer: &FixedPointLayer, backend: Backend, kernel: Kernel) -> Self {
        let bits = layer.op.weights().map_or(WeightBits::Eight, |weights| weights.bits);
        let in_width = |bits| match backend {
            Backend::Portable => None,
            Backend::Dsp => Self::for_dsp(network, layer, bits, kernel),
            Backend::Mve => Self::for_mve(network, layer, bits),
            Backend::V6m => Self::for_v6m(network, layer, bits),
        };
        let is_worth = kernel != Kernel::Smallest || uses(layer) >= USES_WORTH_A_WIDTH;
        let wider =
            [WeightBits::Four, WeightBits::Eight].into_iter().filter(|wider| wider.bits() > bits.bits() && is_worth);
        let found = std::iter::once(bits).chain(wider).find_map(in_width);
        found.unwrap_or(Self { bits, room: Room::default(), fast: None, order: Order::Plain, offset: 0 })
    }

    /// With all of the arena that spares time: no window writes over its input row by row.
    pub(super) fn in_less_time(self) -> Self {
        let mut room = self.fast.unwrap_or(self.room);
        if room.over == Over::PassedRows {
            room.over = Over::Nothing;
        }
        Self { room, ..self }
    }

    /// With what another way has of the arena, if that is enough; else that way.
    pub(super) fn in_room_of(self, other: Self) -> Self {
        let is_enough = self.room.scratch_bytes <= other.room.scratch_bytes;
        if is_enough { Self { room: other.room, ..self } } else { other }
    }

    fn for_dsp(network: &FixedPointNetwork, layer: &FixedPointLayer, bits: WeightBits, kernel: Kernel) -> Option<Self> {
        let input = network.tensor(*layer.inputs.first()?);
        let in_ch = usize::from(input.shape.c);
        let (runs, pixels) = match &layer.op {
            FixedPointOp::Conv2d { window, groups: 1, .. } => (Runs::of_window(window, in_ch), dsp::CONV_COLUMNS),
            FixedPointOp::FullyConnected { .. } => (Runs::whole(input.shape.len()), 1),
            FixedPointOp::DepthwiseConv2d { window, .. } => {
                let order = Quads::new(window, in_ch, layer.output.shape.c.into(), input.element)?;
                let output = (layer.output.shape, layer.output.element, layer.activation);
                let strips = dsp::strip_bytes(window, output, ends(network, layer)?);
                let fast = strips.map(|bytes| by_strips(bytes, dsp::in_place(in_ch), input, layer));
                let room = Room::default();
                return Some(Self { bits: WeightBits::Sixteen, room, fast, order: Order::Quads(order), offset: 0 });
            }
            _ => return None,
        };
        if let Some(packed) = Self::winograd(network, layer, input).filter(|_| kernel == Kernel::Fastest) {
            return Some(packed);
        }
        let dots = dots(layer, input, bits, kernel);
        // A multiplication takes 16 bits: a weight that has them need not be widened.
        let widened = kernel != Kernel::Smallest || bits == WeightBits::Eight && uses(layer) >= USES_WORTH_A_BYTE;
        let bits = if widened && dots != Some(true) { WeightBits::Sixteen } else { bits };
        let in_order = |packing| {
            let order = match &layer.op {
                FixedPointOp::Conv2d { .. } => Pairs::of_tiles(packing, runs, bits),
                _ => Pairs::new(runs, bits),
            };
            order.filter(|order| is_bounded(network, layer, order.scaled_by())).map(|order| (order, packing))
        };
        let (order, packing) = [Packing::Joined, Packing::Pairs].into_iter().find_map(in_order)?;
        let room = scratch(order.scratch_bytes(pixels));
        let (room, fast) = match dots {
            Some(true) => (Room::default(), None),
            Some(false) if !widened => (Room::default(), Some(room)),
            _ => (room, at_once(layer, room)),
        };
        Some(Self { bits, room, fast, order: Order::Pairs(order, packing), offset: 0 })
    }

    /// Transformed weights, where they are exact and win.
    fn winograd(network: &FixedPointNetwork, layer: &FixedPointLayer, input: FixedPointTensor) -> Option<Self> {
        let FixedPointOp::Conv2d { window, groups: 1, weights } = &layer.op else { return None };
        let order = Winograd::new(window, input.shape.c.into(), input.element)?;
        let wins = winograd_wins(order.in_ch, layer.output.shape);
        let fits = wins
            && is_bounded(network, layer, Winograd::SCALED_BY)
            && transforms(order, &weights.codes).all(|places| places.is_some());
        fits.then(|| Self {
            bits: WeightBits::Sixteen,
            room: scratch(order.scratch_bytes()),
            fast: None,
            order: Order::Winograd(order),
            offset: 0,
        })
    }

    fn for_mve(network: &FixedPointNetwork, layer: &FixedPointLayer, bits: WeightBits) -> Option<Self> {
        let input = network.tensor(*layer.inputs.first()?);
        let (element, channels) = (input.element, usize::from(input.shape.c));
        let elements = (element, layer.output.element);
        let (order, scratch_bytes) = match &layer.op {
            FixedPointOp::Conv2d { window, groups: 1, .. } => {
                let order = Blocks::new(window.taps() * channels, bits, elements)?;
                let pixels = if order.is_direct(window, element) { 0 } else { mve::CONV_COLUMNS };
                (Order::Blocks(order), order.scratch_bytes(pixels))
            }
            FixedPointOp::FullyConnected { .. } => {
                let order = Blocks::new(input.shape.len(), bits, elements)?;
                (Order::Blocks(order), order.scratch_bytes(usize::from(!order.is_whole(element))))
            }
            FixedPointOp::DepthwiseConv2d { window, .. } if layer.output.shape.c == input.shape.c => {
                let order = Lanes::new(window.taps(), channels, bits, elements)?;
                let multipliers = if is_affine(network, layer) { mve::multiplier_bytes(order) } else { 0 };
                (Order::Lanes(order), order.scratch_bytes() + multipliers)
            }
            _ => return None,
        };
        let fast = match &layer.op {
            FixedPointOp::DepthwiseConv2d { window, .. } => {
                let strips = mve::strip_bytes(window, layer.output.shape, ends(network, layer)?);
                let room = strips.map(|bytes| by_strips(bytes, true, input, layer));
                room.filter(|room| room.over == Over::Everything || strips_win(window, input.shape, layer.output.shape))
            }
            _ => at_once(layer, scratch(scratch_bytes)),
        };
        let packed = Self { bits, room: scratch(scratch_bytes), fast, order, offset: code_offset(element) };
        packed.bias_is_bounded(network, layer).then_some(packed)
    }

    /// As the file names the order.
    pub(super) const fn packing(&self) -> Packing {
        match self.order {
            Order::Plain => Packing::Plain,
            Order::Pairs(_, packing) => packing,
            Order::Quads(_) => Packing::Joined,
            Order::Blocks(_) | Order::Lanes(_) => Packing::Blocks,
            Order::Fours(_) | Order::DepthwiseFours => Packing::Fours,
            Order::Winograd(_) => Packing::Winograd,
        }
    }

    fn for_v6m(network: &FixedPointNetwork, layer: &FixedPointLayer, bits: WeightBits) -> Option<Self> {
        let weights = layer.op.weights().filter(|_| bits == WeightBits::Eight)?;
        let input = Some(network.tensor(*layer.inputs.first()?)).filter(|input| input.element != Element::I16)?;
        let out_ch = weights.bias.len();
        let biases = Fours::bias_bytes(out_ch);
        let packed =
            |bytes, order| Some(Self { bits: WeightBits::Eight, room: scratch(bytes), fast: None, order, offset: 0 });
        if let FixedPointOp::DepthwiseConv2d { window, .. } = &layer.op {
            let has = Fours::has_depthwise(window, input.shape, layer.output.shape.c);
            return packed(biases + 3, Order::DepthwiseFours).filter(|_| has);
        }
        let order = Some(Fours::new(weights.codes.len() / out_ch)).filter(|order| order.has(out_ch))?;
        match &layer.op {
            FixedPointOp::Conv2d { groups: 1, .. } => packed(order.column_bytes() + biases, Order::Fours(order)),
            FixedPointOp::FullyConnected { .. } => packed(0, Order::Fours(order)),
            _ => None,
        }
    }

    /// The bias of a channel as its kernel takes it.
    pub(super) fn bias(&self, input: Element, weights: &FixedPointWeights, channel: &ChannelBound) -> i32 {
        match self.order {
            Order::Fours(_) if input == Element::I8 => {
                let filter_len = weights.codes.len() / weights.bias.len();
                let codes = weights.codes.iter().skip(channel.channel * filter_len).take(filter_len);
                channel.bias.wrapping_add(Fours::offset(codes.map(|code| i32::from(*code)).sum()))
            }
            // `Self::new` has seen that it fits.
            _ => self.offset_bias(weights, channel).unwrap_or_default(),
        }
    }

    /// The codes of a layer in their order.
    pub(super) fn codes(&self, weights: &FixedPointWeights) -> Vec<i16> {
        let out_ch = weights.bias.len();
        match self.order {
            Order::Plain | Order::DepthwiseFours => weights.codes.clone(),
            Order::Fours(order) => in_fours(order, weights),
            Order::Pairs(order, _) => in_pairs(order, &weights.codes, out_ch),
            Order::Winograd(order) => in_tiles(order, &weights.codes, out_ch),
            Order::Quads(order) => {
                let mut packed = vec![0; order.len()];
                for (index, code) in weights.codes.iter().enumerate() {
                    let (channel, tap) = (index % out_ch, index / out_ch);
                    packed[order.place(channel, tap)] = *code;
                    if let Some(place) = order.second_place(channel, tap) {
                        packed[place] = *code;
                    }
                }
                packed
            }
            Order::Blocks(order) => {
                let (mut packed, len) = (vec![0; order.total(out_ch)], order.len);
                for (index, code) in weights.codes.iter().enumerate() {
                    packed[order.place(index / len, index % len)] = *code;
                }
                packed
            }
            Order::Lanes(order) => {
                let mut packed = vec![0; order.total()];
                for (index, code) in weights.codes.iter().enumerate() {
                    packed[order.place(index / out_ch, index % out_ch)] = *code;
                }
                packed
            }
        }
    }

    /// The bias of a channel, with the offset of the inputs folded in; `None` where it leaves 32 bits.
    fn offset_bias(&self, weights: &FixedPointWeights, channel: &ChannelBound) -> Option<i32> {
        if self.offset == 0 {
            return Some(channel.bias);
        }
        let out_ch = weights.bias.len();
        let sum: i64 = if matches!(self.order, Order::Lanes(_)) {
            weights.codes.iter().skip(channel.channel).step_by(out_ch).map(|code| i64::from(*code)).sum()
        } else {
            let len = weights.codes.len() / out_ch;
            weights.codes[channel.channel * len..][..len].iter().map(|code| i64::from(*code)).sum()
        };
        i32::try_from(i64::from(channel.bias) + i64::from(self.offset) * sum).ok()
    }

    /// No accumulator leaves 32 bits when it starts from that bias.
    fn bias_is_bounded(&self, network: &FixedPointNetwork, layer: &FixedPointLayer) -> bool {
        let (Some(weights), Ok(channels)) = (layer.op.weights(), channel_bounds(network, layer)) else { return false };
        channels.iter().all(|channel| {
            let left = match channel.requantizer {
                Requantizer::Shift(_) => 0,
                Requantizer::Multiply { shift, .. } => shift.max(0),
            };
            let Some(bias) = self.offset_bias(weights, channel) else { return false };
            let grown = (i128::from(bias).abs() - i128::from(channel.bias).abs()).max(0) << left;
            channel.bound + grown <= i128::from(i32::MAX)
        })
    }
}

/// So many bytes of the arena apart from the tensors.
const fn scratch(scratch_bytes: usize) -> Room {
    Room { scratch_bytes, over: Over::PassedRows }
}

/// As much for a convolution that runs in one pass, not row by row, since its output lies apart from its input.
fn at_once(layer: &FixedPointLayer, room: Room) -> Option<Room> {
    matches!(layer.op, FixedPointOp::Conv2d { .. }).then_some(Room { over: Over::Nothing, ..room })
}

/// Room of a depthwise layer by strips, which hold what they write over, where they may lie in place.
fn by_strips(scratch_bytes: usize, in_place: bool, input: FixedPointTensor, layer: &FixedPointLayer) -> Room {
    let over = if in_place && input.shape == layer.output.shape { Over::Everything } else { Over::Nothing };
    Room { scratch_bytes, over }
}

/// What a layer's channels end in.
fn ends(network: &FixedPointNetwork, layer: &FixedPointLayer) -> Option<impl Iterator<Item = Requantizer> + use<>> {
    Some(channel_bounds(network, layer).ok()?.into_iter().map(|channel| channel.requantizer))
}

/// Whether a layer ends in multipliers.
fn is_affine(network: &FixedPointNetwork, layer: &FixedPointLayer) -> bool {
    ends(network, layer).is_some_and(|mut ends| ends.any(|end| matches!(end, Requantizer::Multiply { .. })))
}

fn in_fours(order: Fours, weights: &FixedPointWeights) -> Vec<i16> {
    let out_ch = weights.bias.len();
    let mut packed = vec![Fours::code(0).into(); order.len(out_ch)];
    for (channel, codes) in weights.codes.chunks_exact(weights.codes.len() / out_ch).enumerate() {
        for (index, code) in codes.iter().enumerate() {
            packed[order.place(channel, index)] = Fours::code(code.to_le_bytes()[0].cast_signed()).into();
        }
    }
    packed
}

fn in_pairs(order: Pairs, codes: &[i16], out_ch: usize) -> Vec<i16> {
    let mut packed = vec![0; order.len(out_ch)];
    for (channel, codes) in codes.chunks_exact(order.runs.count * order.runs.len).enumerate() {
        for (run, codes) in codes.chunks_exact(order.runs.len).enumerate() {
            for (index, code) in codes.iter().enumerate() {
                packed[order.place(channel, run * order.run_len() + index)] = *code;
            }
        }
    }
    if order.joined {
        join(order, out_ch, &mut packed);
    }
    packed
}

/// Joins the second channel's weights of every pair to the first one's.
fn join(order: Pairs, out_ch: usize, packed: &mut [i16]) {
    for (second, index) in (1..out_ch.next_multiple_of(2))
        .step_by(2)
        .flat_map(|second| (0..order.channel_len()).map(move |index| (second, index)))
    {
        let first = packed[order.place(second - 1, index)];
        packed[order.place(second, index)] -= Pairs::borrowed(first.into()) as i16;
    }
}

/// Whether a layer takes less time by tiles: not where its channels are too few for what a tile takes around its products, nor
/// where many of the pixels of four tiles at a time are none of the output's.
fn winograd_wins(in_ch: usize, output: Shape) -> bool {
    let (h, w) = (usize::from(output.h), usize::from(output.w));
    let tiles = h.div_ceil(2) * w.div_ceil(2);
    let computed = 4 * tiles.next_multiple_of(Winograd::TILES);
    in_ch >= 8 && 2 * computed <= 3 * h * w
}

/// The transform of each kernel, of one output channel behind the other; `None` of one that leaves 16 bits.
fn transforms(order: Winograd, codes: &[i16]) -> impl Iterator<Item = Option<[i16; PLACES]>> + '_ {
    codes.chunks_exact(9 * order.in_ch).flat_map(move |codes| {
        (0..order.in_ch)
            .map(move |ic| Winograd::transform(core::array::from_fn(|tap| codes[tap * order.in_ch + ic].into())))
    })
}

fn in_tiles(order: Winograd, codes: &[i16], out_ch: usize) -> Vec<i16> {
    let mut packed = vec![0; order.len(out_ch)];
    for (index, places) in transforms(order, codes).enumerate() {
        // `Packed::new` has seen that it fits.
        for (place, code) in places.unwrap_or_default().into_iter().enumerate() {
            packed[order.place(index / order.in_ch, index % order.in_ch, place)] = code;
        }
    }
    packed
}

/// No accumulator leaves 32 bits in the kernel either, which may scale it.
fn is_bounded(network: &FixedPointNetwork, layer: &FixedPointLayer, scaled_by: u32) -> bool {
    let limit = i128::from(i32::MAX >> scaled_by);
    channel_bounds(network, layer).is_ok_and(|channels| channels.iter().all(|channel| channel.bound <= limit))
}
