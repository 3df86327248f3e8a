//! A session inside a stage that runs patch by patch. Spec 4.24.

use crate::format::{Op, PATCH_OPERATORS, PatchInput, TensorRecord};
use crate::model::{Model, Nodes};
use crate::patches::{Region, Regions, Stage, StageNode};
use crate::session::Session;

/// Where in a stage a session is.
#[derive(Debug)]
pub(crate) struct Progress<'m, const LINKS: u64> {
    /// From the stage's first node on.
    nodes: Nodes<'m, LINKS>,
    /// Tensor that the stage's first node writes.
    first: usize,
    patch: u32,
    patches: u32,
    /// What the patch needs of each tensor, or what is left of it; empty outside a stage.
    regions: Regions,
}

impl<'m, const LINKS: u64> Progress<'m, LINKS> {
    /// Outside every stage.
    #[inline]
    pub(crate) const fn outside(nodes: Nodes<'m, LINKS>) -> Self {
        Self { nodes, first: 0, patch: 0, patches: 0, regions: Regions::new() }
    }

    /// What there is of a tensor of the stage.
    pub(crate) fn region(&self, tensor: usize) -> Region {
        self.regions.get(tensor).copied().unwrap_or_default()
    }

    /// The patch in the stage's output.
    pub(crate) fn patch_region(&self) -> Region {
        self.regions.last().copied().unwrap_or_default()
    }

    /// The place of a model's tensor in the stage.
    fn place(&self, tensor: usize) -> Option<usize> {
        tensor.checked_sub(self.first).filter(|place| *place < self.regions.len())
    }
}

/// The tensors that a node of a stage reads, and its window; `None` for operators that no stage may hold.
pub(crate) fn reads<'o>(op: &'o Op<'_>) -> Option<([u16; 2], Option<&'o crate::format::Window>)> {
    Some(match op {
        Op::Conv2d(op) => ([op.input; 2], Some(&op.window)),
        Op::DepthwiseConv2d(op) => ([op.input; 2], Some(&op.window)),
        Op::MaxPool2d(op) => ([op.input; 2], Some(&op.window)),
        Op::AveragePool2d(op) => ([op.input; 2], Some(&op.window)),
        Op::Clip(op) => ([op.input; 2], None),
        Op::Rescale(op) => ([op.input; 2], None),
        Op::LeakyRelu(op) => ([op.input; 2], None),
        Op::Table(op) => ([op.input; 2], None),
        Op::Binary(op) => ([op.a, op.b], None),
        Op::AffineBinary(op) => ([op.input_a, op.input_b], None),
        _ => return None,
    })
}

/// The stage that begins at node `index`, the first of `nodes`; `None` where it is none that can run.
#[inline(never)]
pub(crate) fn stage<const LINKS: u64>(
    model: &Model<'_, LINKS>,
    index: usize,
    op: &PatchInput,
    nodes: Nodes<'_, LINKS>,
) -> Option<Stage> {
    let input = model.tensor(op.input.into())?.shape;
    let mut stage = Stage::new((input.h, input.w), (op.rows, op.columns));
    let inner = usize::from(op.nodes).checked_sub(2)?;
    for node in nodes.skip(1).take(inner) {
        let (inputs, window) = reads(&node.op)?;
        let [a, b] = inputs.map(|tensor| usize::from(tensor).checked_sub(index + 1));
        let inputs = [u8::try_from(a?).ok()?, u8::try_from(b?).ok()?];
        stage.push(StageNode { inputs, window: window.copied() })?;
    }
    (stage.nodes().len() == inner).then_some(stage)
}

impl<'m, const LINKS: u64> Session<'m, '_, LINKS> {
    /// The record of tensor `index`; inside a stage, of the part of it that there is.
    ///
    /// place  where it is made, unless it was decoded before and is whole
    #[inline]
    pub(crate) fn record<'t>(&self, index: usize, place: &'t mut TensorRecord) -> Option<&'t TensorRecord>
    where
        'm: 't,
    {
        if self.in_patches() { self.cut_record(index, place) } else { self.model.record(index, place) }
    }

    /// As [`Self::record`], copied.
    pub(crate) fn tensor(&self, index: usize) -> Option<TensorRecord> {
        let mut place = TensorRecord::EMPTY;
        self.record(index, &mut place).copied()
    }

    #[inline(never)]
    fn cut_record<'t>(&self, index: usize, tensor: &'t mut TensorRecord) -> Option<&'t TensorRecord> {
        *tensor = self.model.tensor(index)?;
        if let Some(place) = self.progress.place(index) {
            let region = self.progress.region(place);
            (tensor.shape.h, tensor.shape.w) = (region.h, region.w);
        }
        Some(tensor)
    }

    /// Row and column of a tensor's first pixel in the whole of it.
    pub(crate) fn origin(&self, index: usize) -> [u16; 2] {
        if LINKS & PATCH_OPERATORS == 0 {
            return [0; 2];
        }
        let region = self.progress.place(index).map(|place| self.progress.region(place)).unwrap_or_default();
        [region.y, region.x]
    }

    /// True where the model may have a stage: known while compiling where the program links none.
    pub(crate) const fn in_patches(&self) -> bool {
        LINKS & PATCH_OPERATORS != 0
    }

    /// Makes of an operator what runs on the patch; enters a stage, and leaves of its operands what it needs.
    ///
    /// at  the nodes from this one on
    pub(crate) fn cut_to_patch(&mut self, index: usize, op: &mut Op<'_>, at: Nodes<'m, LINKS>) {
        if let Op::PatchInput(input) = op {
            self.enter(index, input, at);
        } else if let Some(place) = self.progress.place(index + 1) {
            self.cut(place, op);
        }
    }

    /// After the last node of a stage: its first one, while there are patches left.
    pub(crate) fn next_patch(&mut self, op: &Op<'_>) -> Option<Nodes<'m, LINKS>> {
        if !matches!(op, Op::PatchOutput(_)) {
            return None;
        }
        self.progress.patch += 1;
        if self.progress.patch < self.progress.patches {
            return Some(self.progress.nodes.clone());
        }
        self.progress = Progress::outside(self.model().nodes());
        None
    }

    #[inline(never)]
    fn enter(&mut self, index: usize, op: &PatchInput, at: Nodes<'m, LINKS>) {
        let model = self.model();
        let Some(stage) = stage(&model, index, op, at.clone()) else { return };
        let progress = &mut self.progress;
        if progress.regions.is_empty() {
            (progress.patch, progress.patches) = (0, stage.patches().unwrap_or(0));
        }
        (progress.nodes, progress.first) = (at, index + 1);
        progress.regions = stage.regions(progress.patch).unwrap_or_default();
    }

    #[inline(never)]
    fn cut(&mut self, place: usize, op: &mut Op<'_>) {
        let Some((inputs, window)) = reads(op) else { return };
        let written = self.progress.region(place);
        let mut input = Region::default();
        for tensor in inputs.map(usize::from).into_iter().rev() {
            let Some(place) = self.progress.place(tensor) else { return };
            let there = self.progress.region(place);
            input = written.read_through(window, there);
            if input != there
                && let Some(record) = self.tensor(tensor)
            {
                self.crop(&record, there, input);
                if let Some(region) = self.progress.regions.get_mut(place) {
                    *region = input;
                }
            }
        }
        match op {
            Op::Conv2d(op) => op.window = written.window_over(&op.window, input),
            Op::DepthwiseConv2d(op) => op.window = written.window_over(&op.window, input),
            Op::MaxPool2d(op) => op.window = written.window_over(&op.window, input),
            Op::AveragePool2d(op) => op.window = written.window_over(&op.window, input),
            _ => {}
        }
    }
}
