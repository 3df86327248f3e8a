//! Cross-layer equalization (Nagel et al. 2019, section 4.1).

use tch::{Kind, Tensor};

use super::super::quantized_network::QuantizedNetwork;
use crate::network::{Layer, LayerOp, Network};

/// Passes over the pairs: a layer in two of them settles after a few.
const PASSES: usize = 10;

/// Makes the greatest weight of each channel alike on both sides of it; the float function stays.
pub(super) fn equalize(network: &mut QuantizedNetwork) {
    let pairs = pairs(network.network());
    tch::no_grad(|| {
        for _ in 0..PASSES {
            for (first, second) in &pairs {
                equalize_pair(network, *first, *second);
            }
        }
    });
}

/// Layers with weights whose output one other layer with weights reads, directly, through nothing or a ReLU.
fn pairs(network: &Network) -> Vec<(usize, usize)> {
    let readers =
        |tensor: usize| network.layers.iter().enumerate().filter(move |(_, layer)| layer.inputs.contains(&tensor));
    let mut pairs = Vec::new();
    for (index, layer) in network.layers.iter().enumerate() {
        let mut reading = readers(index + 1);
        let only = reading.next().filter(|_| reading.next().is_none());
        if let Some((reader, _)) = only.filter(|(_, reader)| scales(layer) && reads_by_channel(network, reader)) {
            pairs.push((index, reader));
        }
    }
    pairs
}

/// True where a factor of a channel passes through the layer's end.
fn scales(layer: &Layer) -> bool {
    let convolves =
        matches!(layer.op, LayerOp::Conv2d { .. } | LayerOp::DepthwiseConv2d { .. } | LayerOp::FullyConnected { .. });
    convolves && layer.activation.scales()
}

/// True where each input channel has weights of its own.
fn reads_by_channel(network: &Network, layer: &Layer) -> bool {
    match layer.op {
        LayerOp::Conv2d { groups, .. } => groups == 1,
        LayerOp::DepthwiseConv2d { .. } => true,
        LayerOp::FullyConnected { .. } => {
            network.shape(layer.inputs[0]).h == 1 && network.shape(layer.inputs[0]).w == 1
        }
        _ => false,
    }
}

fn equalize_pair(network: &mut QuantizedNetwork, first: usize, second: usize) {
    let depthwise = matches!(network.network().layers[second].op, LayerOp::DepthwiseConv2d { .. });
    let (Some((weight, bias)), Some((next, _))) = (network.real_constants(first), network.real_constants(second))
    else {
        return;
    };
    let channels = weight.size()[0];
    // Rows of the second layer's weights by input channel.
    let by_input = |next: &Tensor| {
        if depthwise { next.reshape([channels, -1]) } else { next.transpose(0, 1).reshape([channels, -1]) }
    };
    let (out_range, in_range) = (greatest(&weight.reshape([channels, -1])), greatest(&by_input(&next)));
    let usable = out_range.gt(0.0).logical_and(&in_range.gt(0.0));
    let factor = (&out_range * &in_range).sqrt() / &out_range;
    let factor = factor.where_self(&usable, &out_range.ones_like());
    let scaled_next = if depthwise {
        let multiplier = next.size()[0] / channels;
        &next / factor.repeat_interleave_self_int(multiplier, 0, None).view([-1, 1, 1, 1])
    } else {
        &next / factor.view([1, -1, 1, 1])
    };
    network.set_real_constants(first, &(weight * factor.view([-1, 1, 1, 1])), &(bias * &factor));
    network.set_real_weight(second, &scaled_next);
}

/// Of each row.
fn greatest(rows: &Tensor) -> Tensor {
    rows.abs().amax([1].as_slice(), false).to_kind(Kind::Float)
}
