//! Stages that run patch by patch. Spec 4.24.

use super::node_fault;
use crate::error::{LoadError, NodeFault};
use crate::format::{Links, Node, Op, OperatorKind, PatchInput, Shape, TensorRecord};
use crate::model::{Model, Position};
use crate::patches::{MAX_PATCHES, Region, Regions, Stage};
use crate::stage;

/// A stage that a walk over the nodes is inside of.
pub(super) struct Inside {
    /// Its first node.
    first: usize,
    /// Its last node.
    pub(super) last: usize,
    stage: Stage,
    patches: u32,
    /// Operations of all patches.
    pub(super) operations: u64,
}

impl Inside {
    /// Checks the stage that begins at a node: its ends, what its nodes read, and that every patch fits the tensors.
    ///
    /// at  before the stage's first node
    pub(super) fn enter<'a, const LINKS: Links>(
        model: &Model<'a, LINKS>,
        op: &PatchInput,
        at: Position,
    ) -> Result<Self, LoadError> {
        let first = usize::from(at.index);
        let refused = || node_fault(first, NodeFault::Stage);
        let stage = stage::stage(model, op, at).ok_or_else(refused)?;
        let patches = stage.patches().filter(|patches| (1..=MAX_PATCHES).contains(patches)).ok_or_else(refused)?;
        let last = first + stage.nodes().len() + 1;
        let mut inside = Self { first, last, stage, patches, operations: 0 };
        let ends = model.nodes_from(at).nth(last - first);
        let is_end = |node: Node<'_>| matches!(node.op, Op::PatchOutput(op) if usize::from(op.input) == last);
        let input = model.tensor(op.input.into()).ok_or_else(refused)?;
        let output = model.tensor(last + 1).ok_or_else(refused)?;
        // Input and output are live in all of the stage.
        let live = usize::from(input.last_use) >= last && usize::from(output.last_use) > last;
        if !ends.is_some_and(is_end) || !live {
            return Err(refused());
        }
        for patch in 0..patches {
            let regions = inside.stage.regions(patch).ok_or_else(refused)?;
            inside.patch_fits(model, &regions, at)?;
        }
        Ok(inside)
    }

    /// Steps that the stage adds to one for each node.
    pub(super) fn further_steps(&self) -> u32 {
        self.stage.further_steps(self.patches)
    }

    /// A tensor as if it were whole, where it is one of the stage's.
    pub(super) fn whole(&self, tensor: usize, mut record: TensorRecord) -> TensorRecord {
        let size = tensor.checked_sub(self.first + 1).and_then(|place| self.stage.size(place));
        if let Some((h, w)) = size {
            (record.shape.h, record.shape.w) = (h, w);
        }
        record
    }

    /// True for what a node of the stage may read: only the first one reads what is outside.
    pub(super) const fn may_read(&self, node: usize, tensor: usize) -> bool {
        node <= self.first || node > self.last || tensor > self.first
    }

    fn patch_fits<'a, const LINKS: Links>(
        &mut self,
        model: &Model<'a, LINKS>,
        regions: &Regions,
        at: Position,
    ) -> Result<(), LoadError> {
        let part = |tensor: usize| {
            let record = model.tensor(tensor).unwrap_or(TensorRecord::EMPTY);
            match tensor.checked_sub(self.first + 1).and_then(|place| regions.get(place)) {
                Some(region) => Shape { h: region.h, w: region.w, ..record.shape },
                None => record.shape,
            }
        };
        for (index, node) in (self.first..).zip(model.nodes_from(at).take(regions.len() + 1)) {
            let refused = || node_fault(index, NodeFault::Stage);
            // What the end writes of a patch is what it reads.
            let written = part(if index == self.last { index } else { index + 1 });
            self.operations = self.operations.saturating_add(node.op.operations(|input| part(input.into()), written));
            let Some(region) = regions.get(index - self.first) else { continue };
            let record = model.tensor(index + 1).ok_or_else(refused)?;
            let fits = !region.is_empty() && region.h <= record.shape.h && region.w <= record.shape.w;
            let inner = usize::from(record.last_use) <= self.last;
            if !fits || !inner || !operands_end_here(model, self.first, index, &node, regions) {
                return Err(refused());
            }
        }
        Ok(())
    }
}

/// A node that needs less of an operand than there is leaves no more of it: it must be the last one that reads it.
fn operands_end_here<const LINKS: Links>(
    model: &Model<'_, LINKS>,
    first: usize,
    index: usize,
    node: &Node<'_>,
    regions: &Regions,
) -> bool {
    let Some((inputs, window)) = stage::reads(&node.op) else { return true };
    let part = |tensor: usize| tensor.checked_sub(first + 1).and_then(|place| regions.get(place)).copied();
    let Some(written) = part(index + 1) else { return false };
    inputs.map(usize::from).into_iter().all(|tensor| {
        let there: Option<Region> = part(tensor);
        let whole = there.is_some_and(|there| written.read_through(window, there) == there);
        let last = model.tensor(tensor).is_some_and(|record| usize::from(record.last_use) == index);
        there.is_some() && (whole || last)
    })
}

/// The last node of the stage that a node begins.
pub(super) fn end<const LINKS: Links>(index: usize, op: &Op<'_>) -> Option<usize> {
    match op {
        Op::PatchInput(op) if OperatorKind::PatchInput.is_in(LINKS) => (index + usize::from(op.nodes)).checked_sub(1),
        _ => None,
    }
}
