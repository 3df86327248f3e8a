//! A session inside a stage that runs patch by patch. Spec 4.24.

use crate::format::{Links, Op, PATCH_OPERATORS, PatchInput, TensorRecord};
use crate::model::{Model, ModelHandle, Position};
use crate::patches::{PROGRESS_BYTES, REGIONS_BYTES, Region, Stage, StageNode};
use crate::session::Session;

/// Where in a stage a session is. It lies in the arena, behind the parts of the stage's tensors.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Progress {
    /// Before the stage's first node.
    start: Position,
    patch: u16,
    patches: u16,
    /// Tensors of the stage; none outside of one.
    tensors: u16,
}

impl Progress {
    /// Outside every stage.
    const OUTSIDE: Self = Self { start: Position::START, patch: 0, patches: 0, tensors: 0 };

    fn from_bytes(bytes: [[u8; 2]; PROGRESS_BYTES / 2]) -> Self {
        let [low, high, index, patch, patches, tensors] = bytes.map(u16::from_le_bytes);
        let decoded = u32::from(low) | u32::from(high) << 16;
        Self { start: Position { decoded, index }, patch, patches, tensors }
    }

    fn to_bytes(self) -> [[u8; 2]; PROGRESS_BYTES / 2] {
        let Self { start: Position { decoded, index }, patch, patches, tensors } = self;
        [decoded as u16, (decoded >> 16) as u16, index, patch, patches, tensors].map(u16::to_le_bytes)
    }

    /// The place of a model's tensor in the stage: the first one is what its first node writes.
    fn place(&self, tensor: usize) -> Option<usize> {
        tensor.checked_sub(usize::from(self.start.index) + 1).filter(|place| *place < usize::from(self.tensors))
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

/// The stage that begins at a node; `None` where it is none that can run.
#[inline(never)]
pub(crate) fn stage<'a, const LINKS: Links>(model: &Model<'a, LINKS>, op: &PatchInput, at: Position) -> Option<Stage> {
    let input = model.tensor(op.input.into())?.shape;
    let mut stage = Stage::new((input.h, input.w), (op.rows, op.columns));
    let inner = usize::from(op.nodes).checked_sub(2)?;
    let first = usize::from(at.index) + 1;
    for node in model.nodes_from(at).skip(1).take(inner) {
        let (inputs, window) = reads(&node.op)?;
        let [a, b] = inputs.map(|tensor| usize::from(tensor).checked_sub(first));
        let inputs = [u8::try_from(a?).ok()?, u8::try_from(b?).ok()?];
        stage.push(StageNode { inputs, window: window.copied() })?;
    }
    (stage.nodes().len() == inner).then_some(stage)
}

impl<'m, const LINKS: Links, M: ModelHandle<'m, LINKS>> Session<'m, '_, LINKS, M> {
    /// The record of tensor `index`; inside a stage, of the part of it that there is.
    ///
    /// place  where it is made, unless it was decoded before and is whole
    #[inline]
    pub(crate) fn record<'t>(&self, index: usize, place: &'t mut TensorRecord) -> Option<&'t TensorRecord>
    where
        'm: 't,
    {
        if self.in_patches() { self.cut_record(index, place) } else { self.model.borrow().record(index, place) }
    }

    /// As [`Self::record`], copied.
    pub(crate) fn tensor(&self, index: usize) -> Option<TensorRecord> {
        let mut place = TensorRecord::EMPTY;
        self.record(index, &mut place).copied()
    }

    #[inline(never)]
    fn cut_record<'t>(&self, index: usize, tensor: &'t mut TensorRecord) -> Option<&'t TensorRecord> {
        *tensor = self.model.borrow().tensor(index)?;
        if let Some(place) = self.progress().place(index) {
            let region = self.region(place);
            (tensor.shape.h, tensor.shape.w) = (region.h, region.w);
        }
        Some(tensor)
    }

    /// Row and column of a tensor's first pixel in the whole of it.
    pub(crate) fn origin(&self, index: usize) -> [u16; 2] {
        if LINKS & PATCH_OPERATORS == 0 {
            return [0; 2];
        }
        let region = self.progress().place(index).map(|place| self.region(place)).unwrap_or_default();
        [region.y, region.x]
    }

    /// True where the model may have a stage: known while compiling where the program links none.
    pub(crate) const fn in_patches(&self) -> bool {
        LINKS & PATCH_OPERATORS != 0
    }

    /// Before the first node of a run.
    pub(crate) fn leave(&mut self) {
        self.set_progress(Progress::OUTSIDE);
    }

    /// What a stage keeps behind the tensors: its regions, and the progress.
    fn kept(&self) -> (&[u8], &[u8]) {
        let kept = self.arena.get(self.model.borrow().tensor_bytes()..).unwrap_or_default();
        kept.split_at_checked(REGIONS_BYTES).unwrap_or_default()
    }

    fn kept_mut(&mut self) -> (&mut [u8], &mut [u8]) {
        let kept = self.arena.get_mut(self.model.borrow().tensor_bytes()..).unwrap_or_default();
        kept.split_at_mut_checked(REGIONS_BYTES).unwrap_or_default()
    }

    fn progress(&self) -> Progress {
        let (_, progress) = self.kept();
        progress.as_chunks().0.as_chunks().0.first().map_or(Progress::OUTSIDE, |bytes| Progress::from_bytes(*bytes))
    }

    fn set_progress(&mut self, progress: Progress) {
        let (_, place) = self.kept_mut();
        if let Some(bytes) = place.as_chunks_mut().0.as_chunks_mut().0.first_mut() {
            *bytes = progress.to_bytes();
        }
    }

    /// Makes of an operator what runs on the patch; enters a stage, and leaves of its operands what it needs.
    ///
    /// at  before it
    pub(crate) fn cut_to_patch(&mut self, op: &mut Op<'_>, at: Position) {
        if let Op::PatchInput(input) = op {
            self.enter(input, at);
        } else if let Some(place) = self.progress().place(usize::from(at.index) + 1) {
            self.cut(place, op);
        }
    }

    /// After the last node of a stage: its first one, while there are patches left.
    pub(crate) fn next_patch(&mut self, op: &Op<'_>) -> Option<Position> {
        if !matches!(op, Op::PatchOutput(_)) {
            return None;
        }
        let mut progress = self.progress();
        progress.patch += 1;
        if progress.patch < progress.patches {
            self.set_progress(progress);
            return Some(progress.start);
        }
        self.leave();
        None
    }

    #[inline(never)]
    fn enter(&mut self, op: &PatchInput, at: Position) {
        let Some(stage) = stage(self.model.borrow(), op, at) else { return };
        let mut progress = self.progress();
        if progress.tensors == 0 {
            let patches = stage.patches().unwrap_or(0);
            (progress.patch, progress.patches) = (0, u16::try_from(patches).unwrap_or(u16::MAX));
        }
        let regions = stage.regions(progress.patch.into()).unwrap_or_default();
        (progress.start, progress.tensors) = (at, regions.len() as u16);
        self.set_progress(progress);
        for (place, region) in regions.iter().enumerate() {
            self.set_region(place, *region);
        }
    }

    /// What the patch needs of a tensor of the stage, or what is left of it.
    pub(crate) fn region(&self, place: usize) -> Region {
        let (regions, _) = self.kept();
        regions.as_chunks().0.get(place).map_or(Region::default(), Region::from_bytes)
    }

    fn set_region(&mut self, place: usize, region: Region) {
        let (regions, _) = self.kept_mut();
        if let Some(bytes) = regions.as_chunks_mut().0.get_mut(place) {
            *bytes = region.to_bytes();
        }
    }

    /// The patch in the stage's output.
    pub(crate) fn patch_region(&self) -> Region {
        usize::from(self.progress().tensors).checked_sub(1).map_or(Region::default(), |last| self.region(last))
    }

    #[inline(never)]
    fn cut(&mut self, place: usize, op: &mut Op<'_>) {
        let Some((inputs, window)) = reads(op) else { return };
        let written = self.region(place);
        let mut input = Region::default();
        for tensor in inputs.map(usize::from).into_iter().rev() {
            let Some(place) = self.progress().place(tensor) else { return };
            let there = self.region(place);
            input = written.read_through(window, there);
            if input != there
                && let Some(record) = self.tensor(tensor)
            {
                self.crop(&record, there, input);
                self.set_region(place, input);
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
