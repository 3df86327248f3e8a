//! Weights in the order of a backend's kernels.

use stepshift_runtime::Backend;
use stepshift_runtime::format::{Packing, Pairs, Runs};
use stepshift_runtime::kernels::dsp;

use super::bounds::channel_bounds;
use super::fixed_point::{FixedPointLayer, FixedPointNetwork, FixedPointOp, FixedPointWeights};

/// Bytes of scratch that each layer needs on a backend.
#[must_use]
pub fn scratch_bytes(network: &FixedPointNetwork, backend: Backend) -> Vec<usize> {
    network.layers.iter().map(|layer| Packed::new(network, layer, backend).scratch_bytes).collect()
}

/// How a layer's weights are stored, and what their kernel needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Packed {
    /// Order of the weights.
    pub(super) packing: Packing,
    /// Bytes of scratch.
    pub(super) scratch_bytes: usize,
    order: Option<Pairs>,
}

impl Packed {
    const PLAIN: Self = Self { packing: Packing::Plain, scratch_bytes: 0, order: None };

    /// What `backend` has for a layer: plain weights where it has nothing.
    pub(super) fn new(network: &FixedPointNetwork, layer: &FixedPointLayer, backend: Backend) -> Self {
        let input = layer.inputs.first().map(|input| network.tensor(*input).shape).unwrap_or_default();
        let (runs, pixels) = match &layer.op {
            FixedPointOp::Conv2d { window, groups: 1, .. } => {
                (Runs::of_window(window, input.c.into()), dsp::CONV_COLUMNS)
            }
            FixedPointOp::FullyConnected { .. } => (Runs::whole(input.len()), 1),
            _ => return Self::PLAIN,
        };
        let weights = layer.op.weights().filter(|_| backend == Backend::Dsp);
        let order = weights.and_then(|weights| Pairs::new(runs, weights.bits));
        match order.filter(|order| is_bounded(network, layer, *order)) {
            Some(order) => {
                Self { packing: Packing::Pairs, scratch_bytes: order.scratch_bytes(pixels), order: Some(order) }
            }
            None => Self::PLAIN,
        }
    }

    /// The codes of a layer in their order.
    pub(super) fn codes(&self, weights: &FixedPointWeights) -> Vec<i16> {
        let Some(order) = self.order else { return weights.codes.clone() };
        let out_ch = weights.bias.len();
        let mut packed = vec![0; order.len(out_ch)];
        let channels = weights.codes.chunks_exact(order.runs.count * order.runs.len);
        for (channel, codes) in channels.enumerate() {
            for (run, codes) in codes.chunks_exact(order.runs.len).enumerate() {
                for (index, code) in codes.iter().enumerate() {
                    packed[order.place(channel, run * order.run_len() + index)] = *code;
                }
            }
        }
        packed
    }
}

/// No accumulator leaves 32 bits in the kernel either, which may scale it.
fn is_bounded(network: &FixedPointNetwork, layer: &FixedPointLayer, order: Pairs) -> bool {
    let limit = i128::from(i32::MAX >> order.scaled_by());
    channel_bounds(network, layer).is_ok_and(|channels| channels.iter().all(|channel| channel.bound <= limit))
}
