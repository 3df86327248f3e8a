//! Weights in the order of a backend's kernels.

use stepshift_runtime::Backend;
use stepshift_runtime::format::{Element, Fours, Packing, Pairs, Quads, Runs, WeightBits};
use stepshift_runtime::kernels::dsp;

use super::Prefer;
use super::bounds::channel_bounds;
use super::fixed_point::{FixedPointLayer, FixedPointNetwork, FixedPointOp, FixedPointWeights};

/// Bytes of scratch that each layer needs on a backend.
#[must_use]
pub fn scratch_bytes(network: &FixedPointNetwork, backend: Backend) -> Vec<usize> {
    network.layers.iter().map(|layer| Packed::new(network, layer, backend, Prefer::Memory).scratch_bytes).collect()
}

/// How a layer's weights are stored, and what their kernel needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Packed {
    /// Width in the file.
    pub(super) bits: WeightBits,
    /// Bytes of scratch.
    pub(super) scratch_bytes: usize,
    order: Order,
}

/// Places of the codes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Order {
    Plain,
    Pairs(Pairs),
    Quads(Quads),
    Fours(Fours),
    /// The operator's own order, for the kernels of [`Fours`].
    DepthwiseFours,
}

impl Packed {
    /// What `backend` has for a layer: plain weights where it has nothing.
    pub(super) fn new(network: &FixedPointNetwork, layer: &FixedPointLayer, backend: Backend, prefer: Prefer) -> Self {
        let bits = layer.op.weights().map_or(WeightBits::Eight, |weights| weights.bits);
        let found = match backend {
            Backend::Portable => None,
            Backend::Dsp => Self::for_dsp(network, layer, bits, prefer),
            Backend::V6m => Self::for_v6m(network, layer),
        };
        found.unwrap_or(Self { bits, scratch_bytes: 0, order: Order::Plain })
    }

    fn for_dsp(network: &FixedPointNetwork, layer: &FixedPointLayer, bits: WeightBits, prefer: Prefer) -> Option<Self> {
        let input = network.tensor(*layer.inputs.first()?);
        let in_ch = usize::from(input.shape.c);
        let (runs, pixels) = match &layer.op {
            FixedPointOp::Conv2d { window, groups: 1, .. } => (Runs::of_window(window, in_ch), dsp::CONV_COLUMNS),
            FixedPointOp::FullyConnected { .. } => (Runs::whole(input.shape.len()), 1),
            FixedPointOp::DepthwiseConv2d { window, .. } => {
                let order = Quads::new(window, in_ch, layer.output.shape.c.into(), input.element)?;
                return Some(Self { bits: WeightBits::Sixteen, scratch_bytes: 0, order: Order::Quads(order) });
            }
            _ => return None,
        };
        // A multiplication takes 16 bits: a weight that has them need not be widened.
        let bits = if prefer == Prefer::Speed { WeightBits::Sixteen } else { bits };
        let order = Pairs::new(runs, bits).filter(|order| is_bounded(network, layer, *order))?;
        Some(Self { bits, scratch_bytes: order.scratch_bytes(pixels), order: Order::Pairs(order) })
    }

    /// As the file names the order.
    pub(super) const fn packing(&self) -> Packing {
        match self.order {
            Order::Plain => Packing::Plain,
            Order::Pairs(_) | Order::Quads(_) => Packing::Pairs,
            Order::Fours(_) | Order::DepthwiseFours => Packing::Fours,
        }
    }

    fn for_v6m(network: &FixedPointNetwork, layer: &FixedPointLayer) -> Option<Self> {
        let weights = layer.op.weights().filter(|weights| weights.bits == WeightBits::Eight)?;
        let input = Some(network.tensor(*layer.inputs.first()?)).filter(|input| input.element != Element::I16)?;
        let out_ch = weights.bias.len();
        let biases = Fours::bias_bytes(out_ch);
        let packed = |scratch_bytes, order| Some(Self { bits: WeightBits::Eight, scratch_bytes, order });
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

    /// A layer's biases as its kernel takes them.
    pub(super) fn bias(&self, input: Element, weights: &FixedPointWeights, channel: usize, bias: i32) -> i32 {
        match self.order {
            Order::Fours(_) if input == Element::I8 => {
                let filter_len = weights.codes.len() / weights.bias.len();
                let codes = weights.codes.iter().skip(channel * filter_len).take(filter_len);
                bias.wrapping_add(Fours::offset(codes.map(|code| i32::from(*code)).sum()))
            }
            _ => bias,
        }
    }

    /// The codes of a layer in their order.
    pub(super) fn codes(&self, weights: &FixedPointWeights) -> Vec<i16> {
        let out_ch = weights.bias.len();
        match self.order {
            Order::Plain | Order::DepthwiseFours => weights.codes.clone(),
            Order::Fours(order) => in_fours(order, weights),
            Order::Pairs(order) => in_pairs(order, &weights.codes, out_ch),
            Order::Quads(order) => {
                let mut packed = vec![0; weights.codes.len()];
                for (index, code) in weights.codes.iter().enumerate() {
                    packed[order.place(index % out_ch, index / out_ch)] = *code;
                }
                packed
            }
        }
    }
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
    packed
}

/// No accumulator leaves 32 bits in the kernel either, which may scale it.
fn is_bounded(network: &FixedPointNetwork, layer: &FixedPointLayer, order: Pairs) -> bool {
    let limit = i128::from(i32::MAX >> order.scaled_by());
    channel_bounds(network, layer).is_ok_and(|channels| channels.iter().all(|channel| channel.bound <= limit))
}
