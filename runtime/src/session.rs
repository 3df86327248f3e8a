//! Running a model: one node after another, in the caller's arena.

use core::ops::Range;

use crate::error::RunError;
use crate::format::{Node, Op, TensorRecord};
use crate::kernels::{self, View, ViewMut};
use crate::model::Model;

/// A model with the arena it runs in.
///
/// Fill [`Self::input_mut`] before every run: layers may reuse the input's place.
#[derive(Debug)]
pub struct Session<'m, 'a> {
    model: Model<'m>,
    arena: &'a mut [u8],
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

impl<'m, 'a> Session<'m, 'a> {
    /// Takes an arena of at least [`Model::arena_bytes`] bytes, of any alignment and contents.
    ///
    /// # Errors
    /// [`RunError::ArenaTooSmall`] with both sizes.
    pub fn new(model: Model<'m>, arena: &'a mut [u8]) -> Result<Self, RunError> {
        let needed = model.arena_bytes();
        let provided = arena.len();
        let arena = arena.get_mut(..needed).ok_or(RunError::ArenaTooSmall { needed, provided })?;
        Ok(Self { model, arena })
    }

    /// The model that runs here.
    #[must_use]
    pub const fn model(&self) -> Model<'m> {
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
        for (index, node) in self.model.nodes().enumerate() {
            let Some(tensor) = self.model.tensor(index + 1) else { return };
            self.execute(&node.op, tensor);
            observer(NodeOutput { index, node, tensor, codes: self.codes(tensor.region()) });
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
            Op::Conv2d(op) => self.unary(op.input, output, |x, y| kernels::conv2d(op, x, y)),
            Op::DepthwiseConv2d(op) => self.unary(op.input, output, |x, y| kernels::depthwise_conv2d(op, x, y)),
            Op::FullyConnected(op) => self.unary(op.input, output, |x, y| kernels::fully_connected(op, x, y)),
            Op::MaxPool2d(op) => self.unary(op.input, output, |x, y| kernels::max_pool2d(op, x, y)),
            Op::GlobalAveragePool(op) => self.unary(op.input, output, |x, y| kernels::global_average_pool(op, x, y)),
            Op::Add(op) => self.combine(op.a, op.b, output, |b, y| kernels::add(op, b, y)),
            Op::Clip(op) => self.in_place(op.input, output, |y| kernels::clip(op, y)),
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

    /// Runs a kernel that adds tensor `b` to tensor `a` where `a` lies, in the output.
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
