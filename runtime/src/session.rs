//! Running a model: one node after another, in the caller's arena.

use core::marker::PhantomData;

use crate::arena::{self, Sides};
use crate::codes::{Codes, CodesMut};
use crate::digest;
use crate::error::{RunError, SelfTestError};
use crate::format::{
    ALL_LINKS, Concat, KEEPING_OPERATORS, Links, Name, Node, Op, OperatorKind, SLIDING_OPERATORS, Scratch,
    TensorRecord, with_operators,
};
use crate::kernels::{self, Bands, InOut, View, ViewMut};
use crate::model::{Model, ModelHandle, Position};
use crate::patches::Region;

/// A model with the arena it runs in.
///
/// Fill [`Self::input_mut`] before every run: layers may reuse the input's place.
///
/// `M` hands it the model: a [`Model`], or the type of [`include_model!`](crate::include_model)'s `trusted()`, which takes no place
/// and whose model the compiler knows.
#[derive(Debug)]
pub struct Session<'m, 'a, const LINKS: Links = ALL_LINKS, M = Model<'m, LINKS>> {
    pub(crate) model: M,
    pub(crate) arena: &'a mut [u8],
    /// Before the node that [`Self::step`] runs next.
    position: Position,
    /// Steps that were made in this run.
    steps: usize,
    /// What the host's kernels keep.
    #[cfg(feature = "std")]
    host: kernels::host::Layers,
    lifetime: PhantomData<&'m ()>,
}

/// What an observer sees behind every step: a node, or a node of one patch.
#[derive(Debug, Clone, Copy)]
pub struct NodeOutput<'a> {
    /// Number of steps before, in this run.
    pub step: usize,
    /// Index of the node, in the file's order.
    pub index: usize,
    /// The layer's name; `nodes` of [`Session::model`] tells all of the node.
    pub name: Name<'a>,
    /// The node's operator.
    pub kind: OperatorKind,
    /// Shape and exponent of what it wrote.
    pub tensor: TensorRecord,
    /// Row and column, in the layer's whole output, of the first pixel written; 0 but in a stage that runs patch by patch.
    pub origin: [u16; 2],
    /// The codes it wrote, NHWC.
    pub codes: Codes<'a>,
}

impl<'m, 'a, const LINKS: Links, M: ModelHandle<'m, LINKS>> Session<'m, 'a, LINKS, M> {
    /// Takes an arena of at least [`Model::arena_bytes`] bytes, of any alignment and contents.
    ///
    /// # Errors
    /// [`RunError::ArenaTooSmall`] with both sizes.
    #[inline]
    pub fn new(model: M, arena: &'a mut [u8]) -> Result<Self, RunError> {
        let needed = model.borrow().arena_bytes();
        let provided = arena.len();
        let arena = arena.get_mut(..needed).ok_or(RunError::ArenaTooSmall { needed, provided })?;
        forget(model.borrow(), arena);
        let mut session = Self {
            model,
            arena,
            position: Position::START,
            steps: 0,
            #[cfg(feature = "std")]
            host: kernels::host::Layers::new(model.borrow().node_count()),
            lifetime: PhantomData,
        };
        session.begin();
        Ok(session)
    }

    /// Forgets what runs before have left in the arena: states and streams mean 0 again.
    pub fn reset(&mut self) {
        self.begin();
        forget(self.model.borrow(), self.arena);
    }

    /// The model that runs here.
    #[must_use]
    pub fn model(&self) -> Model<'m, LINKS> {
        *self.model.borrow()
    }

    /// Where the input's codes go, NHWC, at the step of [`Model::input`].
    pub fn input_mut(&mut self) -> CodesMut<'_> {
        let input = self.model.borrow().input();
        CodesMut::new(input.element, self.arena.get_mut(input.checked_region::<LINKS>()).unwrap_or_default())
    }

    /// Runs every node. Infallible: [`Model::parse`] has checked what it relies on.
    pub fn run(&mut self) {
        self.begin();
        while self.advance(&mut self.model.borrow().undecoded()).is_some() {}
    }

    /// Runs every node and shows each one's output to `observer`, as soon as it is there.
    pub fn run_observed(&mut self, mut observer: impl FnMut(NodeOutput<'_>)) {
        self.begin();
        while let Some(output) = self.step() {
            observer(output);
        }
    }

    /// Runs every node and tells `profile` each one's index and how far `clock` went meanwhile; of a stage that runs patch
    /// by patch, each node once a patch.
    ///
    /// clock  counts up, in any unit, wrapping: cycles, timer ticks, microseconds
    pub fn run_profiled(&mut self, mut clock: impl FnMut() -> u32, mut profile: impl FnMut(usize, u32)) {
        self.begin();
        loop {
            let start = clock();
            let Some(index) = self.advance(&mut self.model.borrow().undecoded()) else { return };
            profile(index, clock().wrapping_sub(start));
        }
    }

    /// Runs the next node, so that a long inference can yield between nodes: `while session.step().is_some() { .. }`. Of a
    /// stage that runs patch by patch, a step is one node of one patch.
    ///
    /// `None` behind the last node; the step after that begins anew, with the input that is there then.
    pub fn step(&mut self) -> Option<NodeOutput<'_>> {
        let mut place = self.model.borrow().undecoded();
        let index = self.advance(&mut place)?;
        let tensor = self.tensor(index + 1)?;
        let (step, origin) = (self.steps - 1, self.origin(index + 1));
        let (name, kind) = (self.model.borrow().name(index, &place), self.model.borrow().op(index, &place).kind());
        Some(NodeOutput { step, index, name, kind, tensor, origin, codes: self.codes(tensor) })
    }

    /// Runs the next node, and tells its index; `None` behind the last one.
    ///
    /// place  where it is decoded, unless it was before
    #[inline]
    fn advance(&mut self, place: &mut Node<'m>) -> Option<usize> {
        loop {
            let index = usize::from(self.position.index);
            let Some(op) = self.next_op(place) else {
                self.begin();
                return None;
            };
            let mut record = TensorRecord::EMPTY;
            let tensor = self.record(index + 1, &mut record)?;
            self.run_node(index, op, tensor);
            if self.in_patches()
                && let Some(first) = self.next_patch(op)
            {
                self.position = first;
                continue;
            }
            self.steps += 1;
            return Some(index);
        }
    }

    /// The next node's operator, cut to the patch in a stage that runs patch by patch.
    #[inline]
    fn next_op<'n>(&mut self, place: &'n mut Node<'m>) -> Option<&'n Op<'m>> {
        if !self.in_patches() {
            return self.model.borrow().read(&mut self.position, place);
        }
        let at = self.position;
        if !self.model.borrow().read_own(&mut self.position, place) {
            return None;
        }
        self.cut_to_patch(&mut place.op, at);
        Some(&place.op)
    }

    /// Before the first node of a run.
    fn begin(&mut self) {
        self.position = Position::START;
        self.steps = 0;
        if self.in_patches() {
            self.leave();
        }
    }

    /// Replays the certificate that the exporter put into the model: one input, every node's bits. For the firmware to
    /// call when it starts, or before it commits to a model that it received. Takes no memory but the arena, whose
    /// contents are lost.
    ///
    /// # Errors
    /// [`SelfTestError::Differs`] names the first node that does not give the bits of training.
    pub fn self_test(&mut self) -> Result<(), SelfTestError> {
        let certificate = self.model.borrow().certificate().ok_or(SelfTestError::NoCertificate)?;
        self.reset();
        for (target, byte) in self.input_mut().into_bytes().iter_mut().zip(certificate.input) {
            *target = *byte;
        }
        let mut first = None;
        self.run_observed(|output| {
            let equal = certificate.digest(output.step) == Some(digest(output.codes));
            if !equal && first.is_none() {
                first = Some(output.index);
            }
        });
        self.reset();
        match first {
            None => Ok(()),
            Some(node) => Err(SelfTestError::Differs { node: u16::try_from(node).unwrap_or(u16::MAX) }),
        }
    }

    /// The output's codes of the last run, at the step of [`Model::output`].
    #[must_use]
    pub fn output(&self) -> Codes<'_> {
        self.codes(self.model.borrow().output())
    }

    /// As [`Self::output`], for as long as the arena is lent: ends the session.
    #[must_use]
    pub fn into_output(self) -> Codes<'a> {
        let tensor = self.model.borrow().output();
        let arena: &'a [u8] = self.arena;
        Codes::new(tensor.element, arena.get(tensor.checked_region::<LINKS>()).unwrap_or_default())
    }

    fn codes(&self, tensor: TensorRecord) -> Codes<'_> {
        Codes::new(tensor.element, self.arena.get(tensor.checked_region::<LINKS>()).unwrap_or_default())
    }

    /// Runs node `index`. Where the compiler knows the model, and no two nodes of it have one operator, each node is compiled by
    /// itself, of constants: `op` and `output` are what they are, and not read.
    fn execute(&mut self, index: usize, op: &Op<'_>, output: &TensorRecord) {
        if !const { M::DECODED.are_distinct() } {
            return self.execute_any(op, output);
        }
        macro_rules! by_operator {
            ($($name:ident),*) => {
                $(if let Some(only) = const { M::DECODED.only(OperatorKind::$name) }
                    && index == only.index
                {
                    self.execute_any(only.op, only.output);
                })*
            };
        }
        with_operators!(by_operator);
    }

    /// Runs a node; inlined always, since there may be a call for each operator, of a constant.
    #[inline(always)]
    fn execute_any(&mut self, op: &Op<'_>, output: &TensorRecord) {
        match op {
            Op::TransposeConv2d(op) if OperatorKind::TransposeConv2d.is_in(LINKS) => {
                self.unary(op.input, output, |x, y| kernels::transpose_conv2d::<LINKS>(op, x, y))
            }
            Op::FullyConnected(op) if OperatorKind::FullyConnected.is_in(LINKS) => {
                self.whole(op.input, output, op.weights.scratch, |x, y, scratch| {
                    kernels::fully_connected::<LINKS>(op, x, y, scratch);
                })
            }
            Op::Mean(op) if OperatorKind::Mean.is_in(LINKS) => {
                self.unary(op.input, output, |x, y| kernels::mean::<LINKS>(op, x, y))
            }
            Op::Binary(op) if OperatorKind::Binary.is_in(LINKS) => {
                self.combine(op.a, op.b, output, |a, b| kernels::binary::<LINKS>(op, a, b))
            }
            Op::Clip(op) if OperatorKind::Clip.is_in(LINKS) => {
                self.in_place(op.input, output, |y| kernels::clip(op, y))
            }
            Op::Rescale(op) if OperatorKind::Rescale.is_in(LINKS) => {
                self.in_place(op.input, output, |y| kernels::rescale(op, y))
            }
            Op::LeakyRelu(op) if OperatorKind::LeakyRelu.is_in(LINKS) => {
                self.in_place(op.input, output, |y| kernels::leaky_relu(op, y))
            }
            Op::Table(op) if OperatorKind::Table.is_in(LINKS) => {
                let element = self.tensor(op.input.into()).map_or(output.element, |input| input.element);
                self.in_place(op.input, output, |y| kernels::table(op, element, y))
            }
            Op::Softmax(op) if OperatorKind::Softmax.is_in(LINKS) => {
                self.in_place(op.input, output, |y| kernels::softmax(op, y))
            }
            Op::Concat(op) if OperatorKind::Concat.is_in(LINKS) => self.concat(op, output),
            Op::Slice(op) if OperatorKind::Slice.is_in(LINKS) => {
                self.unary(op.input, output, |x, y| kernels::slice(op, x, y))
            }
            Op::Pad(op) if OperatorKind::Pad.is_in(LINKS) => {
                self.unary(op.input, output, |x, y| kernels::pad(op, x, y))
            }
            Op::Reshape(op) if OperatorKind::Reshape.is_in(LINKS) => self.move_to_output(op.input, output),
            Op::Transpose(op) if OperatorKind::Transpose.is_in(LINKS) => {
                self.unary(op.input, output, |x, y| kernels::transpose(op, x, y))
            }
            Op::UpsampleNearest(op) if OperatorKind::UpsampleNearest.is_in(LINKS) => {
                self.unary(op.input, output, kernels::upsample_nearest)
            }
            Op::UpsampleBilinear(op) if OperatorKind::UpsampleBilinear.is_in(LINKS) => {
                self.unary(op.input, output, |x, y| kernels::upsample_bilinear(op, x, y))
            }
            Op::Argmax(op) if OperatorKind::Argmax.is_in(LINKS) => self.unary(op.input, output, kernels::argmax),
            Op::AffineBinary(op) if OperatorKind::AffineBinary.is_in(LINKS) => {
                self.combine(op.input_a, op.input_b, output, |a, b| kernels::affine_binary::<LINKS>(op, a, b))
            }
            Op::AffineMean(op) if OperatorKind::AffineMean.is_in(LINKS) => {
                self.unary(op.input, output, |x, y| kernels::affine_mean::<LINKS>(op, x, y))
            }
            Op::AffineSoftmax(op) if OperatorKind::AffineSoftmax.is_in(LINKS) => {
                self.in_place(op.input, output, |y| kernels::affine_softmax::<LINKS>(op, y))
            }
            Op::Store(op) if OperatorKind::Store.is_in(LINKS) => self.move_to_output(op.input, output),
            Op::Stream(op) if OperatorKind::Stream.is_in(LINKS) => self.unary(op.input, output, kernels::stream),
            Op::PatchInput(op) if OperatorKind::PatchInput.is_in(LINKS) => {
                let part = self.region(0);
                self.unary(op.input, output, |x, y| kernels::patch_input(part, x, y));
            }
            Op::PatchOutput(op) if OperatorKind::PatchOutput.is_in(LINKS) => {
                let patch = self.patch_region();
                self.unary(op.input, output, |x, y| kernels::patch_output(patch, x, y));
            }
            // A state is there already; what is not linked, `Model::parse_linked` has refused.
            _ => self.slide(op, output),
        }
    }

    #[cfg(not(feature = "std"))]
    fn run_node(&mut self, index: usize, op: &Op<'_>, output: &TensorRecord) {
        self.execute(index, op, output);
    }

    /// By the kernels of the host's processor, where there are some for it.
    #[cfg(feature = "std")]
    fn run_node(&mut self, index: usize, op: &Op<'_>, output: &TensorRecord) {
        let inputs = kernels::host::inputs(op).map(|tensor| tensor.and_then(|tensor| self.tensor(tensor.into())));
        if !self.host.run(index, op, inputs, output, self.arena) {
            self.execute(index, op, output);
        }
    }

    /// From the next run on uses no instruction set wider than `widest`: to compare them. A session begins with what the
    /// processor has.
    #[cfg(feature = "std")]
    pub fn restrict_to(&mut self, widest: kernels::InstructionSet) {
        self.host.restrict(widest);
    }

    /// The instruction set whose kernel ran a node last.
    #[cfg(feature = "std")]
    #[must_use]
    pub fn ran_by(&self, node: usize) -> kernels::InstructionSet {
        self.host.ran(node)
    }

    /// Puts the inputs side by side in the output.
    fn concat(&mut self, op: &Concat<'_>, output: &TensorRecord) {
        let mut at = 0;
        for (input, right_shift) in op.operands() {
            self.unary(input, output, |x, y| {
                at = kernels::concat_part(op.axis, at, right_shift, op.activation, x, y);
            });
        }
    }

    /// Runs a kernel that reads one tensor and writes another.
    fn unary(&mut self, input: u16, output: &TensorRecord, kernel: impl FnOnce(View<'_>, ViewMut<'_>)) {
        let mut place = TensorRecord::EMPTY;
        if let Some(input) = self.record(input.into(), &mut place)
            && let Some((x, y)) =
                arena::pair(self.arena, 0, &input.checked_region::<LINKS>(), &output.checked_region::<LINKS>())
        {
            kernel(input.view(x), output.view_mut(y));
        }
    }

    /// Runs a kernel that reads the codes of one tensor and writes another, with a scratch.
    fn whole(
        &mut self,
        input: u16,
        output: &TensorRecord,
        scratch: Scratch,
        kernel: impl FnOnce(Codes<'_>, ViewMut<'_>, &mut [u8]),
    ) {
        let mut place = TensorRecord::EMPTY;
        let Some(input) = self.record(input.into(), &mut place) else { return };
        let parts = arena::pair_and_scratch(
            self.arena,
            scratch.linked::<LINKS>(),
            &input.checked_region::<LINKS>(),
            &output.checked_region::<LINKS>(),
        );
        if let Some((x, y, scratch)) = parts {
            kernel(Codes::new(input.element, x), output.view_mut(y), scratch);
        }
    }

    /// Runs an operator whose window slides down its input.
    fn slide(&mut self, op: &Op<'_>, output: &TensorRecord) {
        if LINKS & SLIDING_OPERATORS == 0 {
            return;
        }
        let Some((input, window)) = op.sliding() else { return };
        let mut place = TensorRecord::EMPTY;
        let Some(input) = self.record(input.into(), &mut place) else { return };
        let scratch = op.scratch().linked::<LINKS>();
        if let Some((mut bands, scratch)) = Bands::new(self.arena, (input, output), window, scratch) {
            kernels::slide::<LINKS>(op, &mut bands, scratch);
        }
    }

    /// Runs a kernel that reads each code before it writes it, wherever the planner put the output.
    fn in_place(&mut self, input: u16, output: &TensorRecord, kernel: impl FnOnce(InOut<'_>)) {
        self.combine(input, input, output, |codes, _| kernel(codes));
    }

    /// As [`Self::in_place`] on tensor `a`, with a second tensor, which may be the first.
    fn combine(&mut self, a: u16, b: u16, output: &TensorRecord, kernel: impl FnOnce(InOut<'_>, Option<View<'_>>)) {
        let mut places = [TensorRecord::EMPTY; 2];
        let [place, second_place] = &mut places;
        let Some(input) = self.record(a.into(), place) else { return };
        let second = if a == b { None } else { self.record(b.into(), second_place) };
        let (source, target) = (input.checked_region::<LINKS>(), output.checked_region::<LINKS>());
        let Some((sides, y)) = Sides::of(self.arena, &target) else { return };
        let second =
            second.and_then(|tensor| sides.get(&tensor.checked_region::<LINKS>()).map(|bytes| tensor.view(bytes)));
        let codes = if source == target {
            InOut::InPlace(output.view_mut(y), input.element)
        } else {
            let Some(x) = sides.get(&source) else { return };
            InOut::Apart(input.view(x), output.view_mut(y))
        };
        kernel(codes, second);
    }

    /// Leaves of a tensor what a patch needs to the end: moves its rows up to where the tensor begins.
    #[inline(never)]
    pub(crate) fn crop(&mut self, tensor: &TensorRecord, from: Region, to: Region) {
        let pixel = usize::from(tensor.shape.c) * tensor.element.bytes();
        let Some(bytes) = self.arena.get_mut(tensor.checked_region::<LINKS>()) else { return };
        let (width, len) = (usize::from(from.w) * pixel, usize::from(to.w) * pixel);
        let first = usize::from(to.y.saturating_sub(from.y)) * width + usize::from(to.x.saturating_sub(from.x)) * pixel;
        for row in 0..usize::from(to.h) {
            let (source, target) = (first + row * width, row * len);
            // Rows only move towards the start: none is read after it was written over.
            let distance = source.saturating_sub(target);
            if let Some(both) = bytes.get_mut(target..source + len)
                && distance <= both.len()
            {
                both.copy_within(distance.., 0);
            }
        }
    }

    /// Copies a tensor's codes into the output, unless the planner put both in one place.
    fn move_to_output(&mut self, input: u16, output: &TensorRecord) {
        self.unary(input, output, |x, y| {
            if x.codes().bytes().len() == y.bytes.len() {
                y.bytes.copy_from_slice(x.codes().bytes());
            }
        });
    }
}

/// Fills what keeps its contents between runs with the code of 0.
fn forget<const LINKS: Links>(model: &Model<'_, LINKS>, arena: &mut [u8]) {
    if LINKS & KEEPING_OPERATORS & Links::from(model.links()) == 0 {
        return;
    }
    for (index, node) in model.nodes().enumerate() {
        if node.op.kind().is_in(KEEPING_OPERATORS)
            && let Some(tensor) = model.tensor(index + 1)
            && let Some(bytes) = arena.get_mut(tensor.checked_region::<LINKS>())
        {
            CodesMut::new(tensor.element, bytes).fill(tensor.zero);
        }
    }
}
