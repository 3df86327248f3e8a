//! How any two tensors may lie to one another.

use std::collections::{BTreeSet, HashMap};
use std::ops::Range;

use stepshift_runtime::format::{AffineBinaryKind, BinaryKind, Window};

use super::super::fixed_point::{FixedPointLayer, FixedPointNetwork, FixedPointOp};
use super::{Over, Room};

/// Two tensors that are live at one time.
#[derive(Debug, Clone, Copy)]
pub(super) struct Relation {
    pub(super) a: usize,
    pub(super) b: usize,
    /// Bytes from the start of `a` to that of `b`, where `a` lies below.
    pub(super) a_below: usize,
    /// Bytes from the start of `b` to that of `a`, where `b` lies below.
    pub(super) b_below: usize,
    /// They may begin at one place, one written over the other.
    pub(super) same: bool,
    /// They may lie nowhere else.
    pub(super) only_same: bool,
}

/// What a layout must keep to.
#[derive(Debug)]
pub(super) struct Relations {
    /// Bytes of each tensor.
    pub(super) bytes: Vec<usize>,
    /// Last layer that reads each tensor.
    pub(super) last_use: Vec<usize>,
    /// Operands that each layer may write over.
    pub(super) overwritable: Vec<Vec<usize>>,
    /// Tensors that are live during each layer.
    pub(super) live: Vec<Vec<usize>>,
    /// Every two tensors that are live at one time.
    pub(super) pairs: Vec<Relation>,
    /// Numbers of the pairs that are live during each layer.
    pub(super) within: Vec<Vec<usize>>,
}

impl Relations {
    /// Behind the tensors stand the layers' scratches, each live during its layer alone.
    pub(super) fn new(network: &FixedPointNetwork, rooms: &[Room]) -> Self {
        let last_use = last_uses(network);
        let count = last_use.len();
        let bytes: Vec<usize> = (0..count).map(|tensor| network.tensor(tensor).bytes()).collect();
        let overwritable =
            rooms.iter().enumerate().map(|(layer, room)| overwritable(network, layer, *room, &last_use)).collect();
        let live = |layer: usize| (0..count).filter(|tensor| is_live(network, &last_use, *tensor, layer)).collect();
        let mut relations = Self {
            bytes,
            overwritable,
            live: (0..network.layers.len()).map(live).collect(),
            last_use,
            pairs: Vec::new(),
            within: Vec::new(),
        };
        let met: BTreeSet<(usize, usize)> = relations.live.iter().flat_map(|live| twos(live)).collect();
        relations.pairs = met.into_iter().map(|(b, a)| relations.relation(network, rooms, (a, b))).collect();
        for (layer, room) in rooms.iter().enumerate().filter(|(_, room)| room.scratch_bytes > 0) {
            relations.add_scratch(layer, room.scratch_bytes);
        }
        let numbers = relations.pairs.iter().enumerate().map(|(number, pair)| ((pair.b, pair.a), number));
        let numbers: HashMap<(usize, usize), usize> = numbers.collect();
        relations.within = relations.live.iter().map(|live| twos(live).map(|two| numbers[&two]).collect()).collect();
        relations
    }

    /// A place of its own during a layer, apart from all that is live then.
    fn add_scratch(&mut self, layer: usize, bytes: usize) {
        let b = self.bytes.len();
        let apart =
            |a: &usize| Relation { a: *a, b, a_below: self.bytes[*a], b_below: bytes, same: false, only_same: false };
        self.pairs.extend(self.live[layer].iter().map(apart).collect::<Vec<_>>());
        self.bytes.push(bytes);
        self.last_use.push(layer);
        self.live[layer].push(b);
    }

    /// `b` is written after `a`.
    fn relation(&self, network: &FixedPointNetwork, rooms: &[Room], (a, b): (usize, usize)) -> Relation {
        let layer = b.saturating_sub(1);
        let passes = rooms[layer].over == Over::PassedRows;
        let stored = stored_into(network, b) == Some(a);
        let window = window_distance(network, &self.last_use, layer).filter(|(_, input)| *input == a && passes);
        Relation {
            a,
            b,
            a_below: self.bytes[a],
            b_below: window.map_or(self.bytes[b], |(distance, _)| distance.min(self.bytes[b])),
            same: stored || self.overwritable[layer].contains(&a),
            only_same: stored,
        }
    }
}

/// Every two of some tensors in rising order, the later first.
fn twos(tensors: &[usize]) -> impl Iterator<Item = (usize, usize)> {
    let before = move |place: usize| tensors[..place].iter().map(move |a| (tensors[place], *a));
    (0..tensors.len()).flat_map(before)
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
    // A stage reads its input once a patch.
    if let Some(stage) = stage(network) {
        let input = network.layers[stage.start].inputs[0];
        last_use[input] = last_use[input].max(stage.end - 1);
    }
    last_use
}

/// Layers of the stage that runs patch by patch, its ends included.
fn stage(network: &FixedPointNetwork) -> Option<Range<usize>> {
    let patch = |(index, layer): (usize, &FixedPointLayer)| match layer.op {
        FixedPointOp::PatchInput(patch) => Some(index..index + patch.nodes),
        _ => None,
    };
    network.layers.iter().enumerate().find_map(patch)
}

/// Operands that a layer may write over, read by nothing later.
fn overwritable(network: &FixedPointNetwork, layer: usize, room: Room, last_use: &[usize]) -> Vec<usize> {
    let FixedPointLayer { inputs, op, output, .. } = &network.layers[layer];
    let dies_here = |tensor: &usize| {
        last_use[*tensor] == layer
            && network.tensor(*tensor).bytes() == output.bytes()
            && !outlives_the_run(network, *tensor)
    };
    let candidates = match op {
        FixedPointOp::Clip
        | FixedPointOp::Rescale
        | FixedPointOp::LeakyRelu { .. }
        | FixedPointOp::Table { .. }
        | FixedPointOp::Softmax
        | FixedPointOp::AffineSoftmax
        | FixedPointOp::Reshape => &inputs[..1],
        // The first operand of a difference is the one that is written over.
        FixedPointOp::Binary(BinaryKind::Sub) | FixedPointOp::AffineBinary(AffineBinaryKind::Sub)
            if inputs[0] != inputs[1] =>
        {
            &inputs[..1]
        }
        FixedPointOp::Binary(_) | FixedPointOp::AffineBinary(_) if inputs[0] != inputs[1] => inputs,
        FixedPointOp::DepthwiseConv2d { .. }
            if room.over == Over::Everything && stage(network).is_none_or(|stage| !stage.contains(&layer)) =>
        {
            &inputs[..1]
        }
        _ => &[],
    };
    candidates.iter().copied().filter(dies_here).collect()
}

/// The state in which a tensor is stored.
fn stored_into(network: &FixedPointNetwork, tensor: usize) -> Option<usize> {
    let writer = &network.layers[tensor.checked_sub(1)?];
    if writer.op == FixedPointOp::Store { writer.inputs.get(1).copied() } else { None }
}

/// True for a state, what is stored into it, and a stream.
fn outlives_the_run(network: &FixedPointNetwork, tensor: usize) -> bool {
    let writer = tensor.checked_sub(1).map(|layer| &network.layers[layer].op);
    writer.is_some_and(|op| op.is_kept() || *op == FixedPointOp::Store)
}

/// True where a tensor is live during a layer.
fn is_live(network: &FixedPointNetwork, last_use: &[usize], tensor: usize, layer: usize) -> bool {
    let kept = tensor.checked_sub(1).is_some_and(|writer| network.layers[writer].op.is_kept());
    // What a stage writes is there from its first patch on.
    let from = stage(network).filter(|stage| stage.end == tensor).map_or(tensor.saturating_sub(1), |stage| stage.start);
    kept || from <= layer && layer <= last_use[tensor]
}

/// How far below its input a layer's output must begin, and the input, where the layer may write over what it has read.
fn window_distance(network: &FixedPointNetwork, last_use: &[usize], layer: usize) -> Option<(usize, usize)> {
    let FixedPointLayer { inputs, op, output, .. } = &network.layers[layer];
    let window: &Window = match op {
        FixedPointOp::Conv2d { window, .. }
        | FixedPointOp::DepthwiseConv2d { window, .. }
        | FixedPointOp::MaxPool2d { window }
        | FixedPointOp::AveragePool2d { window }
        | FixedPointOp::AffineAveragePool2d { window } => window,
        _ => return None,
    };
    let input = network.tensor(inputs[0]);
    if stage(network).is_some_and(|stage| stage.contains(&layer)) {
        return None;
    }
    if last_use[inputs[0]] != layer || outlives_the_run(network, inputs[0]) {
        return None;
    }
    let row = |bytes: usize, rows: u16| bytes / usize::from(rows.max(1));
    let (in_row, out_row) = (row(input.bytes(), input.shape.h), row(output.bytes(), output.shape.h));
    Some((window.row_distance(input.shape.h, in_row, output.shape.h, out_row), inputs[0]))
}
