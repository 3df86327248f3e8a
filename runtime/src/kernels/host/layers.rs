//! What a session keeps for the host's kernels, and which of them run a layer.

use std::vec::Vec;

use super::image::{Frame, Image, SLACK};
use super::instruction_set::InstructionSet;
use super::pools::Pool;
use super::prepared::Prepared;
use super::{affine_binary, byte_depthwise, conv2d, depthwise, elementwise, pools, winograd};
use crate::arena::apart;
use crate::codes::Codes;
use crate::format::{Op, Shape, TensorRecord, Window};
use crate::kernels::ViewMut;

/// The state of the host's kernels in a session.
#[derive(Debug)]
pub(crate) struct Layers {
    /// The instruction set that runs.
    set: InstructionSet,
    /// What was made of each node, once it has run.
    prepared: Vec<Option<Prepared>>,
    /// What ran each node last.
    ran: Vec<InstructionSet>,
    image: Image<i16>,
    other: Image<i16>,
    bytes: Image<u8>,
    /// The input of a pool as it lies in the arena, and a vector's worth behind.
    raw: Vec<u8>,
    scratch: winograd::Scratch,
}

impl Layers {
    pub(crate) fn new(node_count: usize) -> Self {
        Self {
            set: InstructionSet::detected(),
            prepared: (0..node_count).map(|_| None).collect(),
            ran: std::vec![InstructionSet::Portable; node_count],
            image: Image::default(),
            other: Image::default(),
            bytes: Image::default(),
            raw: Vec::new(),
            scratch: winograd::Scratch::default(),
        }
    }

    /// From now on nothing wider than `widest` runs.
    pub(crate) fn restrict(&mut self, widest: InstructionSet) {
        self.set = InstructionSet::detected().min(widest);
        self.prepared.fill_with(|| None);
    }

    /// What ran a node last.
    pub(crate) fn ran(&self, node: usize) -> InstructionSet {
        self.ran.get(node).copied().unwrap_or_default()
    }

    /// Runs a node; false where it is left to the portable kernels.
    pub(crate) fn run(
        &mut self,
        node: usize,
        op: &Op<'_>,
        inputs: [Option<TensorRecord>; 2],
        output: &TensorRecord,
        arena: &mut [u8],
    ) -> bool {
        let done = self.set != InstructionSet::Portable && self.execute(node, op, inputs, output, arena).is_some();
        if let Some(ran) = self.ran.get_mut(node) {
            *ran = if done { self.set } else { InstructionSet::Portable };
        }
        done
    }

    fn execute(
        &mut self,
        node: usize,
        op: &Op<'_>,
        inputs: [Option<TensorRecord>; 2],
        output: &TensorRecord,
        arena: &mut [u8],
    ) -> Option<()> {
        let input = inputs[0]?;
        let prepared = self.prepared.get_mut(node)?;
        let prepared = prepared
            .get_or_insert_with(|| Prepared::new(self.set, op, [&input, inputs[1].as_ref().unwrap_or(&input)], output));
        let codes = |tensor: &TensorRecord| Some(Codes::new(tensor.element, arena.get(tensor.region())?));
        let size = (usize::from(output.shape.h), usize::from(output.shape.w));
        let (set, image) = (self.set, &mut self.image);
        // The input is copied first: the planner may have put the output over it.
        match (op, prepared) {
            (Op::Conv2d(op), Prepared::Winograd(winograd, ending)) => {
                let even = (size.0.next_multiple_of(2), size.1.next_multiple_of(2));
                let frame = &Frame::new(input.shape, &op.window, even, op.weights.epilogue.input_zero())?;
                image.take(set, codes(&input)?, frame)?;
                let (scratch, output) = (&mut self.scratch, arena.get_mut(output.region())?);
                set.run(winograd::Run { winograd, ending, image, frame, scratch, size, output })?;
            }
            (Op::Conv2d(op), Prepared::Convolution(convolution, ending)) => {
                let zero = op.weights.epilogue.input_zero();
                image.take(set, codes(&input)?, convolution.layout.take(input.shape, &op.window, size, zero)?)?;
                set.run(conv2d::Run { convolution, ending, image, output: arena.get_mut(output.region())? })?;
            }
            (Op::Conv2d(op), Prepared::Bytes(convolution, ending)) => {
                let (image, zero) = (&mut self.bytes, op.weights.epilogue.input_zero());
                image.take(set, codes(&input)?, convolution.layout.take(input.shape, &op.window, size, zero)?)?;
                set.run_bytes(conv2d::Run { convolution, ending, image, output: arena.get_mut(output.region())? })?;
            }
            (Op::FullyConnected(_), Prepared::Bytes(convolution, ending)) => {
                let image = &mut self.bytes;
                image.take(set, codes(&input)?, convolution.layout.frame())?;
                set.run_bytes(conv2d::Run { convolution, ending, image, output: arena.get_mut(output.region())? })?;
            }
            (Op::FullyConnected(_), Prepared::Convolution(convolution, ending)) => {
                image.take(set, codes(&input)?, convolution.layout.frame())?;
                set.run(conv2d::Run { convolution, ending, image, output: arena.get_mut(output.region())? })?;
            }
            (Op::DepthwiseConv2d(op), Prepared::ByteDepthwise(depthwise, ending)) => {
                let (image, zero) = (&mut self.bytes, op.weights.epilogue.input_zero());
                image.take(set, codes(&input)?, depthwise.layout.take(input.shape, &op.window, size, zero)?)?;
                let output = arena.get_mut(output.region())?;
                set.run_bytes(byte_depthwise::Run { depthwise, ending, image, output })?;
            }
            (Op::DepthwiseConv2d(op), Prepared::Depthwise(depthwise, ending)) => {
                let zero = op.weights.epilogue.input_zero();
                image.take(set, codes(&input)?, depthwise.layout.take(input.shape, &op.window, size, zero)?)?;
                set.run(depthwise::Run { depthwise, ending, image, output: arena.get_mut(output.region())? })?;
            }
            (Op::Binary(op), Prepared::Weightless) => {
                let b = inputs[1]?;
                image.take(set, codes(&input)?, &Frame::plain(input.shape))?;
                self.other.take(set, codes(&b)?, &Frame::plain(b.shape))?;
                let output = view(output, arena)?;
                set.run(elementwise::Run { op, a: image.codes(), b: self.other.codes(), output })?;
            }
            (Op::AffineBinary(_), Prepared::AffineBinary(combination)) => {
                let regions = [input.region(), inputs[1]?.region(), output.region()];
                let [a, b, target] = &regions;
                if ![a, b].iter().all(|operand| *operand == target || apart(operand, target)) {
                    return None;
                }
                let (places, len) = (regions.clone().map(|region| region.start), target.len());
                set.run(affine_binary::Run { combination, places, len, arena })?;
            }
            (_, Prepared::Weightless) => {
                let (pool, window) = pool(op, input.shape)?;
                self.raw.clear();
                self.raw.extend_from_slice(arena.get(input.region())?);
                self.raw.extend_from_slice(&[0; 2 * SLACK]);
                let (codes, shape) = (Codes::new(input.element, &self.raw), input.shape);
                set.run(pools::Run { pool, window, codes, shape, output: view(output, arena)? })?;
            }
            _ => return None,
        }
        Some(())
    }
}

/// The tensors that an operator with a kernel here reads.
pub(crate) const fn inputs(op: &Op<'_>) -> [Option<u16>; 2] {
    match op {
        Op::Conv2d(op) => [Some(op.input), None],
        Op::DepthwiseConv2d(op) => [Some(op.input), None],
        Op::FullyConnected(op) => [Some(op.input), None],
        Op::MaxPool2d(op) => [Some(op.input), None],
        Op::AveragePool2d(op) => [Some(op.input), None],
        Op::Mean(op) => [Some(op.input), None],
        Op::Binary(op) => [Some(op.a), Some(op.b)],
        Op::AffineBinary(op) => [Some(op.input_a), Some(op.input_b)],
        _ => [None; 2],
    }
}

/// A pool and the window that it slides.
fn pool<'a>(op: &'a Op<'a>, input: Shape) -> Option<(Pool<'a>, Window)> {
    match op {
        Op::MaxPool2d(op) => Some((Pool::Max(op.activation), op.window)),
        Op::AveragePool2d(op) if op.multipliers.is_empty() => Some((Pool::AffineAverage(op.activation), op.window)),
        Op::AveragePool2d(op) => Some((Pool::Average(op), op.window)),
        Op::Mean(op) => Some((Pool::Mean(op), averaged(input.along(op.axes))?)),
        _ => None,
    }
}

/// The window of a mean over whole rows or columns.
fn averaged(extent: Shape) -> Option<Window> {
    Some(Window::new(u8::try_from(extent.h).ok()?, u8::try_from(extent.w).ok()?))
}

fn view<'a>(output: &TensorRecord, arena: &'a mut [u8]) -> Option<ViewMut<'a>> {
    let bytes = arena.get_mut(output.region())?;
    Some(ViewMut { shape: output.shape, element: output.element, first_row: 0, bytes })
}
