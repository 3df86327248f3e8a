//! Where each tensor lies in the arena.
//!
//! A tensor is live from the layer that writes it to the last one that reads it. Tensors that are
//! live at one time share no byte, but for an operator that may write over its operand. The largest
//! tensor is placed first, each at the lowest offset that is free for the whole of its life.

use stepshift_runtime::format::{AffineBinaryKind, BinaryKind};

use super::fixed_point::{FixedPointNetwork, FixedPointOp};

/// The arena's layout.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    /// Bytes of arena.
    pub arena_bytes: usize,
    /// Tensor by tensor, input first.
    pub tensors: Vec<Placement>,
}

/// Where one tensor lies and how long it is needed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Placement {
    /// First byte in the arena.
    pub offset: usize,
    /// Last layer that reads it; the number of layers for the network's output.
    pub last_use: usize,
}

/// Tensors that lie in one place, one written over the other.
struct Group {
    tensors: Vec<usize>,
    bytes: usize,
    first: usize,
    last: usize,
}

/// Lays out the arena.
#[must_use]
pub fn plan(network: &FixedPointNetwork) -> Plan {
    let last_use = last_uses(network);
    let mut groups = groups(network, &last_use);
    groups.sort_by_key(|group| (std::cmp::Reverse(group.bytes), group.first));
    let mut offsets = vec![0; network.layers.len() + 1];
    let mut placed: Vec<(usize, Group)> = Vec::new();
    for group in groups {
        let offset = lowest_free(&placed, &group);
        for tensor in &group.tensors {
            offsets[*tensor] = offset;
        }
        placed.push((offset, group));
    }
    let arena_bytes = placed.iter().map(|(offset, group)| offset + group.bytes).max().unwrap_or(0);
    let tensors = offsets.into_iter().zip(last_use).map(|(offset, last_use)| Placement { offset, last_use }).collect();
    Plan { arena_bytes, tensors }
}

/// Last layer that reads each tensor.
fn last_uses(network: &FixedPointNetwork) -> Vec<usize> {
    let mut last_use: Vec<usize> = (0..=network.layers.len()).map(|tensor| tensor.saturating_sub(1)).collect();
    for (index, layer) in network.layers.iter().enumerate() {
        for input in &layer.inputs {
            last_use[*input] = index;
        }
    }
    last_use[network.layers.len()] = network.layers.len();
    last_use
}

/// Joins an operator's output with the operand that it may overwrite.
fn groups(network: &FixedPointNetwork, last_use: &[usize]) -> Vec<Group> {
    let mut groups: Vec<Group> = Vec::new();
    for tensor in 0..last_use.len() {
        let bytes = network.tensor(tensor).bytes();
        let operand = tensor.checked_sub(1).and_then(|layer| overwritten(network, layer, last_use));
        let kept = tensor.checked_sub(1).is_some_and(|layer| network.layers[layer].op.is_kept());
        if kept {
            groups.push(Group { tensors: vec![tensor], bytes, first: 0, last: network.layers.len() });
            continue;
        }
        match operand.and_then(|operand| groups.iter_mut().find(|group| group.tensors.contains(&operand))) {
            Some(group) => {
                group.tensors.push(tensor);
                group.last = group.last.max(last_use[tensor]);
            }
            None => groups.push(Group { tensors: vec![tensor], bytes, first: tensor, last: last_use[tensor] }),
        }
    }
    groups
}

/// The operand that `layer` may overwrite: read by nothing later, and of the operator's choosing.
#[must_use]
pub fn overwritten(network: &FixedPointNetwork, layer: usize, last_use: &[usize]) -> Option<usize> {
    let inputs = &network.layers[layer].inputs;
    let bytes = network.layers[layer].output.bytes();
    let dies_here = |tensor: &&usize| {
        last_use[**tensor] == layer && network.tensor(**tensor).bytes() == bytes && !outlives_the_run(network, **tensor)
    };
    match &network.layers[layer].op {
        FixedPointOp::Clip
        | FixedPointOp::Rescale
        | FixedPointOp::LeakyRelu { .. }
        | FixedPointOp::Table { .. }
        | FixedPointOp::Softmax
        | FixedPointOp::Reshape => inputs.iter().find(dies_here).copied(),
        // The first operand of a difference is the one that is written over.
        FixedPointOp::Binary(BinaryKind::Sub) | FixedPointOp::AffineBinary(AffineBinaryKind::Sub)
            if inputs[0] != inputs[1] =>
        {
            inputs.iter().take(1).find(dies_here).copied()
        }
        FixedPointOp::Binary(_) | FixedPointOp::AffineBinary(_) if inputs[0] != inputs[1] => {
            inputs.iter().find(dies_here).copied()
        }
        // What is stored lies where its state lies.
        FixedPointOp::Store => inputs.get(1).copied(),
        _ => None,
    }
}

/// True for a state, what is stored into it, and a stream.
fn outlives_the_run(network: &FixedPointNetwork, tensor: usize) -> bool {
    let writer = tensor.checked_sub(1).map(|layer| &network.layers[layer].op);
    writer.is_some_and(|op| op.is_kept() || *op == FixedPointOp::Store)
}

/// Lowest offset at which `group` meets no group that is live with it.
fn lowest_free(placed: &[(usize, Group)], group: &Group) -> usize {
    let mut live: Vec<_> = placed
        .iter()
        .filter(|(_, other)| live_together(other, group))
        .map(|(offset, other)| *offset..offset + other.bytes)
        .collect();
    live.sort_by_key(|region| region.start);
    let mut offset = 0;
    for region in live {
        if offset + group.bytes <= region.start {
            break;
        }
        offset = offset.max(region.end);
    }
    offset
}

/// Tensor `t` is written by layer `t - 1`, which may still read tensors whose last use it is.
fn live_together(a: &Group, b: &Group) -> bool {
    a.first <= b.last + 1 && b.first <= a.last + 1
}
