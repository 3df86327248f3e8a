//! Cross-layer equalization (Nagel et al. 2019, section 4.1).

use std::collections::HashMap;

use anyhow::{Context, Result};
use tch::{Kind, Tensor};

use super::super::float_network::restore;
use super::super::quantized_network::QuantizedNetwork;
use super::calibrate;
use crate::network::{Layer, LayerOp, Network};

/// Two layers, by their numbers: the second reads the first.
type Pair = [usize; 2];

/// Passes over the pairs: a layer in two of them settles after a few.
const PASSES: usize = 10;

/// Makes the greatest weight of each channel alike on both sides of every pair; the float function stays. Pairs without which the
/// calibrated network's output has less error are put back. Every pair, with true where it is equalized.
pub(super) fn equalize(network: &mut QuantizedNetwork, batches: &[Tensor]) -> Result<Vec<(Pair, bool)>> {
    let all = pairs(network);
    if all.is_empty() {
        return Ok(Vec::new());
    }
    let trial = Trial::new(network, batches)?;
    let mut kept = all.clone();
    let mut least = trial.error(network, &kept)?;
    for pair in &all {
        let fewer: Vec<Pair> = kept.iter().filter(|other| *other != pair).copied().collect();
        let error = trial.error(network, &fewer)?;
        // An error that is not a number is the greatest.
        if error.total_cmp(&least).is_lt() {
            (kept, least) = (fewer, error);
        }
    }
    if trial.error(network, &[])?.total_cmp(&least).is_lt() {
        kept.clear();
    }
    trial.begin(network, &kept)?;
    Ok(all.into_iter().map(|pair| (pair, kept.contains(&pair))).collect())
}

/// A network as it was, and what its output is in real numbers.
struct Trial<'a> {
    state: HashMap<String, Tensor>,
    batches: &'a [Tensor],
    outputs: Vec<Tensor>,
}

impl<'a> Trial<'a> {
    fn new(network: &QuantizedNetwork, batches: &'a [Tensor]) -> Result<Self> {
        let copy = |(name, tensor): (String, Tensor)| (name, tensor.detach().copy());
        let outputs = batches.iter().map(|x| last(network.real_forward(x)?));
        Ok(Self {
            state: network.state().into_iter().map(copy).collect(),
            batches,
            outputs: outputs.collect::<Result<_>>()?,
        })
    }

    /// The network as it was, with these pairs equalized.
    fn begin(&self, network: &mut QuantizedNetwork, pairs: &[Pair]) -> Result<()> {
        restore(&network.state(), |name| self.state.get(name).map(Tensor::shallow_clone))?;
        even_out(network, pairs);
        Ok(())
    }

    /// Squared error of the output with these pairs equalized, quantized by the batches.
    fn error(&self, network: &mut QuantizedNetwork, pairs: &[Pair]) -> Result<f64> {
        self.begin(network, pairs)?;
        calibrate(network, self.batches)?;
        let mut sum = 0.0;
        for (x, output) in self.batches.iter().zip(&self.outputs) {
            sum += (last(network.fast_forward(x)?)? - output).square().sum(Kind::Double).double_value(&[]);
        }
        Ok(sum)
    }
}

fn last(mut tensors: Vec<Tensor>) -> Result<Tensor> {
    tensors.pop().context("there are no layers")
}

/// Equalizes pairs, whatever that does to the error.
pub(super) fn even_out(network: &mut QuantizedNetwork, pairs: &[Pair]) {
    tch::no_grad(|| {
        for _ in 0..PASSES {
            for pair in pairs {
                equalize_pair(network, *pair);
            }
        }
    });
}

/// Layers with weights whose output one other layer with weights reads, directly, through nothing or a ReLU; none with a batch norm.
pub(super) fn pairs(quantized: &QuantizedNetwork) -> Vec<Pair> {
    let network = quantized.network();
    let readers =
        |tensor: usize| network.layers.iter().enumerate().filter(move |(_, layer)| layer.inputs.contains(&tensor));
    let mut pairs = Vec::new();
    for (index, layer) in network.layers.iter().enumerate() {
        let mut reading = readers(index + 1);
        let only = reading.next().filter(|_| reading.next().is_none());
        if let Some((reader, _)) = only.filter(|(_, reader)| scales(layer) && reads_by_channel(network, reader)) {
            pairs.push([index, reader]);
        }
    }
    pairs.retain(|pair| pair.iter().all(|layer| quantized.real_constants(*layer).is_some()));
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

fn equalize_pair(network: &mut QuantizedNetwork, [first, second]: Pair) {
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
