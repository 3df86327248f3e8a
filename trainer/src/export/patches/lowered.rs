//! The stage of a network that was lowered, patch by patch.

use std::ops::Range;

use stepshift_runtime::format::Shape;
use stepshift_runtime::patches::{Regions, Stage};

use super::stage_node;
use crate::export::fixed_point::{FixedPointNetwork, FixedPointOp};

/// The stage of a lowered network.
#[derive(Debug)]
pub(in crate::export) struct LoweredStage {
    /// Its layers, both ends included.
    pub(in crate::export) layers: Range<usize>,
    stage: Stage,
}

/// One patch of it.
#[derive(Debug)]
pub(in crate::export) struct LoweredPatch {
    layers: Range<usize>,
    regions: Regions,
}

/// The stage of a lowered network, if it has one.
pub(in crate::export) fn stage_of(network: &FixedPointNetwork) -> Option<LoweredStage> {
    let begins = |(index, op): (usize, &FixedPointOp)| match op {
        FixedPointOp::PatchInput(patch) => Some((index, *patch)),
        _ => None,
    };
    let (first, patch) = network.layers.iter().map(|layer| &layer.op).enumerate().find_map(begins)?;
    let layers = first..first + patch.nodes;
    let Shape { h, w, .. } = network.tensor(network.layers[first].inputs[0]).shape;
    let mut stage = Stage::new((h, w), (patch.rows, patch.columns));
    for layer in &network.layers[first + 1..layers.end - 1] {
        let mut node = stage_node(layer)?;
        let start = u8::try_from(first + 1).ok()?;
        node.inputs = [node.inputs[0].checked_sub(start)?, node.inputs[1].checked_sub(start)?];
        stage.push(node)?;
    }
    Some(LoweredStage { layers, stage })
}

impl LoweredStage {
    /// Every patch, in order.
    pub(in crate::export) fn patches(&self) -> impl Iterator<Item = LoweredPatch> {
        let patch = |patch| Some(LoweredPatch { layers: self.layers.clone(), regions: self.stage.regions(patch)? });
        (0..self.stage.patches().unwrap_or(0)).filter_map(patch)
    }
}

impl LoweredPatch {
    /// Layers that run for it.
    pub(in crate::export) fn layers(&self) -> Range<usize> {
        self.layers.clone()
    }

    /// Shape of the part of a tensor that the patch has; `whole` for those outside the stage.
    pub(in crate::export) fn shape(&self, tensor: usize, whole: Shape) -> Shape {
        let region = tensor.checked_sub(self.layers.start + 1).and_then(|place| self.regions.get(place));
        region.map_or(whole, |region| Shape { h: region.h, w: region.w, ..whole })
    }

    /// The tensor whose extent a layer writes: the stage's end writes as much of its output as it reads.
    pub(in crate::export) fn written(&self, layer: usize) -> usize {
        if layer + 1 == self.layers.end { layer } else { layer + 1 }
    }
}
