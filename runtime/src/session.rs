//! Running a model: one node after another, in the caller's arena.

use core::ops::Range;

use crate::digest;
use crate::error::{RunError, SelfTestError};
use crate::format::{ALL_OPERATORS, Concat, Node, Op, OperatorKind, TensorRecord};
use crate::kernels::{self, View, ViewMut};
use crate::model::{Model, Nodes};

/// A model with the arena it runs in.
///
/// Fill [`Self::input_mut`] before every run: layers may reuse the input's place.
#[derive(Debug)]
pub struct Session<'m, 'a, const OPERATORS: u32 = ALL_OPERATORS> {
    model: Model<'m, OPERATORS>,
    arena: &'a mut [u8],
    /// Nodes that [`Self::step`] has not run yet.
    rest: Nodes<'m, OPERATORS>,
}

/// What an observer sees behind every node.
#[derive(Debug, Clone, Copy)]
pub struct NodeOutput<'a> {
    /// Index of the node, in the order of execution.
    pub index: usize,
    /// The node: its name and operator.
    pub node: Node<'a>,
    /// Shape and exponent of what it wrote.
    pub tensor: TensorRecord,
    /// The codes it wrote, NHWC.
    pub codes: &'a [i8],
}

impl<'m, 'a, const OPERATORS: u32> Session<'m, 'a, OPERATORS> {
    /// Takes an arena of at least [`Model::arena_bytes`] bytes, of any alignment and contents.
    ///
    /// # Errors
    /// [`RunError::ArenaTooSmall`] with both sizes.
    pub fn new(model: Model<'m, OPERATORS>, arena: &'a mut [u8]) -> Result<Self, RunError> {
        let needed = model.arena_bytes();
        let provided = arena.len();
        let arena = arena.get_mut(..needed).ok_or(RunError::ArenaTooSmall { needed, provided })?;
        Ok(Self { model, arena, rest: model.nodes() })
    }

    /// The model that runs here.
    #[must_use]
    pub const fn model(&self) -> Model<'m, OPERATORS> {
        self.model
    }

    /// Where the input's codes go, NHWC, at the exponent of [`Model::input`].
    pub fn input_mut(&mut self) -> &mut [i8] {
        let region = self.model.input().region();
        bytemuck::must_cast_slice_mut(self.arena.get_mut(region).unwrap_or_default())
    }

    /// Runs every node. Infallible: [`Model::parse`] has checked what it relies on.
    pub fn run(&mut self) {
        self.run_observed(|_| {});
    }

    /// Runs every node and shows each one's output to `observer`, as soon as it is there.
    pub fn run_observed(&mut self, mut observer: impl FnMut(NodeOutput<'_>)) {
        self.rest = self.model.nodes();
        while let Some(output) = self.step() {
            observer(output);
        }
    }

    /// Runs every node and tells `profile` each one's index and how far `clock` went meanwhile.
    ///
    /// clock  counts up, in any unit, wrapping: cycles, timer ticks, microseconds
    pub fn run_profiled(&mut self, mut clock: impl FnMut() -> u32, mut profile: impl FnMut(usize, u32)) {
        self.rest = self.model.nodes();
        loop {
            let start = clock();
            let Some(index) = self.step().map(|output| output.index) else { return };
            profile(index, clock().wrapping_sub(start));
        }
    }

    /// Runs the next node, so that a long inference can yield between nodes: `while session.step().is_some() { .. }`.
    ///
    /// `None` behind the last node; the step after that begins anew, with the input that is there then.
    pub fn step(&mut self) -> Option<NodeOutput<'_>> {
        let index = self.model.node_count() - usize::from(self.rest.remaining());
        let Some(node) = self.rest.next() else {
            self.rest = self.model.nodes();
            return None;
        };
        let tensor = self.model.tensor(index + 1)?;
        self.execute(&node.op, tensor);
        Some(NodeOutput { index, node, tensor, codes: self.codes(tensor.region()) })
    }

    /// Replays the certificate that the exporter put into the model: one input, every node's bits. For the firmware to
    /// call when it starts, or before it commits to a model that it received. Takes no memory but the arena, whose
    /// contents are lost.
    ///
    /// # Errors
    /// [`SelfTestError::Differs`] names the first node that does not give the bits of training.
    pub fn self_test(&mut self) -> Result<(), SelfTestError> {
        let certificate = self.model.certificate().ok_or(SelfTestError::NoCertificate)?;
        for (target, code) in self.input_mut().iter_mut().zip(certificate.input()) {
            *target = *code;
        }
        let mut first = None;
        self.run_observed(|output| {
            let equal = certificate.digest(output.index) == Some(digest(output.codes));
            if !equal && first.is_none() {
                first = Some(output.index);
            }
        });
        match first {
            None => Ok(()),
            Some(node) => Err(SelfTestError::Differs { node: u16::try_from(node).unwrap_or(u16::MAX) }),
        }
    }

    /// The output's codes of the last run, at the exponent of [`Model::output`].
    #[must_use]
    pub fn output(&self) -> &[i8] {
        self.codes(self.model.output().region())
    }

    fn codes(&self, region: Range<usize>) -> &[i8] {
        bytemuck::must_cast_slice(self.arena.get(region).unwrap_or_default())
    }

    fn execute(&mut self, op: &Op<'_>, output: TensorRecord) {
        match op {
            Op::Conv2d(op) if OperatorKind::Conv2d.is_in(OPERATORS) => {
                self.unary(op.input, output, |x, y| kernels::conv2d(op, x, y))
            }
            Op::DepthwiseConv2d(op) if OperatorKind::DepthwiseConv2d.is_in(OPERATORS) => {
                self.unary(op.input, output, |x, y| kernels::depthwise_conv2d(op, x, y))
            }
            Op::TransposeConv2d(op) if OperatorKind::TransposeConv2d.is_in(OPERATORS) => {
                self.unary(op.input, output, |x, y| kernels::transpose_conv2d(op, x, y))
            }
            Op::FullyConnected(op) if OperatorKind::FullyConnected.is_in(OPERATORS) => {
                self.unary(op.input, output, |x, y| kernels::fully_connected(op, x, y))
            }
            Op::MaxPool2d(op) if OperatorKind::MaxPool2d.is_in(OPERATORS) => {
                self.unary(op.input, output, |x, y| kernels::max_pool2d(op, x, y))
            }
            Op::AveragePool2d(op) if OperatorKind::AveragePool2d.is_in(OPERATORS) => {
                self.unary(op.input, output, |x, y| kernels::average_pool2d(op, x, y))
            }
            Op::GlobalAveragePool(op) if OperatorKind::GlobalAveragePool.is_in(OPERATORS) => {
                self.unary(op.input, output, |x, y| kernels::global_average_pool(op, x, y))
            }
            Op::Binary(op) if OperatorKind::Binary.is_in(OPERATORS) => {
                self.combine(op.a, op.b, output, |b, y| kernels::binary(op, b, y))
            }
            Op::Clip(op) if OperatorKind::Clip.is_in(OPERATORS) => {
                self.in_place(op.input, output, |y| kernels::clip(op, y))
            }
            Op::Rescale(op) if OperatorKind::Rescale.is_in(OPERATORS) => {
                self.in_place(op.input, output, |y| kernels::rescale(op, y))
            }
            Op::LeakyRelu(op) if OperatorKind::LeakyRelu.is_in(OPERATORS) => {
                self.in_place(op.input, output, |y| kernels::leaky_relu(op, y))
            }
            Op::Table(op) if OperatorKind::Table.is_in(OPERATORS) => {
                self.in_place(op.input, output, |y| kernels::table(op, y))
            }
            Op::Softmax(op) if OperatorKind::Softmax.is_in(OPERATORS) => {
                self.in_place(op.input, output, |y| kernels::softmax(op, y))
            }
            Op::Concat(op) if OperatorKind::Concat.is_in(OPERATORS) => self.concat(op, output),
            Op::Slice(op) if OperatorKind::Slice.is_in(OPERATORS) => {
                self.unary(op.input, output, |x, y| kernels::slice(op, x, y))
            }
            Op::Pad(op) if OperatorKind::Pad.is_in(OPERATORS) => {
                self.unary(op.input, output, |x, y| kernels::pad(op, x, y))
            }
            Op::Reshape(op) if OperatorKind::Reshape.is_in(OPERATORS) => self.move_to_output(op.input, output),
            Op::Transpose(op) if OperatorKind::Transpose.is_in(OPERATORS) => {
                self.unary(op.input, output, |x, y| kernels::transpose(op, x, y))
            }
            Op::UpsampleNearest(op) if OperatorKind::UpsampleNearest.is_in(OPERATORS) => {
                self.unary(op.input, output, kernels::upsample_nearest)
            }
            Op::UpsampleBilinear(op) if OperatorKind::UpsampleBilinear.is_in(OPERATORS) => {
                self.unary(op.input, output, |x, y| kernels::upsample_bilinear(op, x, y))
            }
            // Not linked: `Model::parse_linked` has refused it.
            _ => {}
        }
    }

    /// Puts the inputs side by side in the output.
    fn concat(&mut self, op: &Concat<'_>, output: TensorRecord) {
        let mut at = 0;
        for (input, right_shift) in op.operands() {
            self.unary(input, output, |x, y| {
                at = kernels::concat_part(op.axis, at, right_shift, op.activation, x, y);
            });
        }
    }

    /// Runs a kernel that reads one tensor and writes another.
    fn unary(&mut self, input: u16, output: TensorRecord, kernel: impl FnOnce(View<'_>, ViewMut<'_>)) {
        let Some(input) = self.model.tensor(input.into()) else { return };
        let Ok([x, y]) = self.arena.get_disjoint_mut([input.region(), output.region()]) else { return };
        kernel(View::new(input.shape, x), ViewMut::new(output.shape, y));
    }

    /// Runs a kernel that changes its first operand where it lies, in the output.
    fn in_place(&mut self, input: u16, output: TensorRecord, kernel: impl FnOnce(ViewMut<'_>)) {
        self.move_to_output(input, output);
        let Some(y) = self.arena.get_mut(output.region()) else { return };
        kernel(ViewMut::new(output.shape, y));
    }

    /// Runs a kernel that combines tensor `b` with tensor `a` where `a` lies, in the output.
    fn combine(&mut self, a: u16, b: u16, output: TensorRecord, kernel: impl FnOnce(View<'_>, ViewMut<'_>)) {
        self.move_to_output(a, output);
        self.unary(b, output, kernel);
    }

    /// Copies a tensor's codes into the output, unless the planner put both in one place.
    fn move_to_output(&mut self, input: u16, output: TensorRecord) {
        let Some(input) = self.model.tensor(input.into()) else { return };
        if let Ok([x, y]) = self.arena.get_disjoint_mut([input.region(), output.region()])
            && x.len() == y.len()
        {
            y.copy_from_slice(x);
        }
    }
}
