//! Recurrent layers as the network has them: a window of a sequence, step by step, with the layers of `export::cells`.
//!
//! One layer of a config becomes a row of layers: the input's part of all sums at once, the states, and for each row of the
//! input the gates. The steps after the first have the weights of the first. [`crate::export::streaming`] rolls them up again.

use stepshift_runtime::format::{BinaryKind, Shape, Window};

use crate::export::Curve;
use crate::network::{Layer, LayerActivation, LayerOp};

/// Exponent of sums before a curve: up to 16.
const SUM: i8 = -11;

/// Exponent of what is between -1 and 1: gates and outputs.
const UNIT: i8 = -15;

/// Exponent of differences of such.
const DIFFERENCE: i8 = -14;

/// Exponent of a memory cell: up to 8.
const MEMORY: i8 = -12;

/// Inputs of a concatenation, at most.
const MAX_JOINED: usize = 16;

/// Which cell.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CellKind {
    /// Gated recurrent unit (Cho et al. 2014), with the equations of PyTorch's `GRUCell`.
    Gru,
    /// Long short-term memory (Hochreiter and Schmidhuber 1997), with the equations of PyTorch's `LSTMCell`.
    Lstm,
}

/// A recurrent layer in a network's list of layers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cell {
    /// Name in the config.
    pub name: String,
    /// The layer that computes the input's part of every step's sums; the states follow it.
    pub first: usize,
    /// Layers of each step, the first of which follow the states.
    pub period: usize,
    /// Steps: rows of the input.
    pub steps: usize,
    /// Layers behind the last step that put the outputs of all steps below one another; 0 where the output is the last one's.
    pub joins: usize,
    /// Tensors of the states with what the last step leaves in them.
    pub states: Vec<(usize, usize)>,
    /// log2 of every layer's step, from `first` on; all are of 16 bits.
    pub exponents: Vec<i8>,
}

impl Cell {
    /// First layer of a step.
    #[must_use]
    pub const fn step(&self, step: usize) -> usize {
        self.first + 1 + self.states.len() + step * self.period
    }

    /// The layer behind the last.
    #[must_use]
    pub const fn end(&self) -> usize {
        self.step(self.steps) + self.joins
    }

    /// log2 of the step of what a layer of the cell writes; `None` for other layers.
    #[must_use]
    pub fn exponent(&self, layer: usize) -> Option<i8> {
        layer.checked_sub(self.first).and_then(|index| self.exponents.get(index)).copied()
    }
}

/// The layers of a cell behind `first` layers, over every row of `input`, whose shape is `shape`.
///
/// sequence  the output has a row for every step
pub(crate) fn layers(
    kind: CellKind,
    name: &str,
    first: usize,
    (input, shape): (usize, Shape),
    units: u16,
    sequence: bool,
) -> (Vec<Layer>, Cell) {
    let gates = if kind == CellKind::Gru { 3 } else { 4 };
    let mut builder = Builder { name, first, input, part: String::new(), layers: Vec::new(), exponents: Vec::new() };
    // One place of a convolution is a row: all columns and channels.
    let window = Window::new(1, shape.w as u8);
    let rows = Shape { h: shape.h, w: 1, c: gates * units };
    let op = LayerOp::Conv2d { window, out_ch: gates * units, groups: 1, batch_norm: false };
    let sums = builder.push("input", vec![input], op, rows, SUM);
    let states = if kind == CellKind::Gru { &[("hidden", UNIT)][..] } else { &[("hidden", UNIT), ("memory", MEMORY)] };
    let states: Vec<usize> = states.iter().map(|(part, exponent)| builder.state(part, units, *exponent)).collect();
    let (mut current, start) = (states.clone(), builder.layers.len());
    let mut outputs = Vec::new();
    for step in 0..shape.h {
        builder.part = format!("{step}.");
        let weights = (step > 0).then_some(first + start);
        let hidden = builder.hidden_sums(current[0], gates * units, weights);
        current = match kind {
            CellKind::Gru => builder.gru(sums, hidden, step, units, current[0]),
            CellKind::Lstm => builder.lstm(sums, hidden, step, units, current[1]),
        };
        outputs.push(current[0]);
    }
    let end = builder.layers.len();
    if sequence {
        builder.join(outputs, units);
    }
    let Builder { layers, exponents, .. } = builder;
    let (steps, all, joins) = (usize::from(shape.h), end - start, layers.len() - end);
    let states = states.into_iter().zip(current).collect();
    (layers, Cell { name: name.to_owned(), first, period: all / steps, steps, joins, states, exponents })
}

/// Appends layers to a network's.
struct Builder<'a> {
    name: &'a str,
    first: usize,
    input: usize,
    /// Of names: the step.
    part: String,
    layers: Vec<Layer>,
    exponents: Vec<i8>,
}

impl Builder<'_> {
    /// Returns the tensor that the layer writes.
    fn push(&mut self, part: &str, inputs: Vec<usize>, op: LayerOp, output: Shape, exponent: i8) -> usize {
        let name = format!("{}.{}{part}", self.name, self.part);
        self.layers.push(Layer { name, inputs, op, activation: LayerActivation::None, output });
        self.exponents.push(exponent);
        self.first + self.layers.len()
    }

    fn state(&mut self, part: &str, units: u16, exponent: i8) -> usize {
        self.push(part, vec![self.input], LayerOp::State, vector(units), exponent)
    }

    fn hidden_sums(&mut self, hidden: usize, out_ch: u16, weights: Option<usize>) -> usize {
        let op = weights.map_or(LayerOp::FullyConnected { out_ch }, |layer| LayerOp::Repeated { layer });
        self.push("hidden_sums", vec![hidden], op, vector(out_ch), SUM)
    }

    fn slice(&mut self, part: &str, tensor: usize, row: u16, first: u16, units: u16) -> usize {
        self.push(part, vec![tensor], LayerOp::Slice { start: [row, 0, first] }, vector(units), SUM)
    }

    fn binary(&mut self, part: &str, kind: BinaryKind, operands: [usize; 2], units: u16, exponent: i8) -> usize {
        self.push(part, operands.to_vec(), LayerOp::Binary(kind), vector(units), exponent)
    }

    fn curve(&mut self, part: &str, curve: Curve, tensor: usize, units: u16) -> usize {
        self.push(part, vec![tensor], LayerOp::Curve(curve), vector(units), UNIT)
    }

    /// Rows below one another, as many at a time as a concatenation takes.
    fn join(&mut self, mut rows: Vec<usize>, units: u16) {
        self.part.clear();
        while rows.len() > 1 {
            let parts: Vec<Vec<usize>> = rows.chunks(MAX_JOINED).map(<[usize]>::to_vec).collect();
            rows = parts.into_iter().map(|part| self.concatenated(part, units)).collect();
        }
    }

    fn concatenated(&mut self, parts: Vec<usize>, units: u16) -> usize {
        let rows = |tensor: &usize| self.layers[tensor - self.first - 1].output.h;
        let h = parts.iter().map(rows).sum();
        let part = format!("rows{}", self.layers.len());
        self.push(&part, parts, LayerOp::Concat { axis: 0 }, Shape { h, ..vector(units) }, UNIT)
    }

    /// `(1 - update) * new + update * hidden`, with `new = tanh(input_new + reset * hidden_new)`.
    fn gru(&mut self, sums: usize, from_hidden: usize, step: u16, units: u16, hidden: usize) -> Vec<usize> {
        let input_gates = self.slice("input_gates", sums, step, 0, 2 * units);
        let hidden_gates = self.slice("hidden_gates", from_hidden, 0, 0, 2 * units);
        let gate_sums = self.binary("gate_sums", BinaryKind::Add, [input_gates, hidden_gates], 2 * units, SUM);
        let reset_sums = self.push("reset_sums", vec![gate_sums], LayerOp::Slice { start: [0; 3] }, vector(units), SUM);
        let reset = self.curve("reset", Curve::Sigmoid, reset_sums, units);
        let update_sums = self.slice("update_sums", gate_sums, 0, units, units);
        let update = self.curve("update", Curve::Sigmoid, update_sums, units);
        let hidden_new = self.slice("hidden_new", from_hidden, 0, 2 * units, units);
        let input_new = self.slice("input_new", sums, step, 2 * units, units);
        let kept = self.binary("kept", BinaryKind::Mul, [reset, hidden_new], units, SUM);
        let new_sums = self.binary("new_sums", BinaryKind::Add, [kept, input_new], units, SUM);
        let new = self.curve("new", Curve::Tanh, new_sums, units);
        let difference = self.binary("difference", BinaryKind::Sub, [hidden, new], units, DIFFERENCE);
        let part = self.binary("part", BinaryKind::Mul, [difference, update], units, DIFFERENCE);
        vec![self.binary("output", BinaryKind::Add, [new, part], units, UNIT)]
    }

    /// `output_gate * tanh(next)`, with `next = forget_gate * memory + input_gate * candidate`.
    fn lstm(&mut self, sums: usize, from_hidden: usize, step: u16, units: u16, memory: usize) -> Vec<usize> {
        let from_input = self.slice("input_sums", sums, step, 0, 4 * units);
        let sums = self.binary("sums", BinaryKind::Add, [from_input, from_hidden], 4 * units, SUM);
        let mut gate = |part: &str, index: u16, curve: Curve| {
            let sum = self.slice(&format!("{part}_sums"), sums, 0, index * units, units);
            self.curve(part, curve, sum, units)
        };
        let input_gate = gate("input_gate", 0, Curve::Sigmoid);
        let forget_gate = gate("forget_gate", 1, Curve::Sigmoid);
        let candidate = gate("candidate", 2, Curve::Tanh);
        let output_gate = gate("output_gate", 3, Curve::Sigmoid);
        let kept = self.binary("kept", BinaryKind::Mul, [forget_gate, memory], units, MEMORY);
        let new = self.binary("new", BinaryKind::Mul, [input_gate, candidate], units, MEMORY);
        let next = self.binary("next", BinaryKind::Add, [kept, new], units, MEMORY);
        let squashed = self.curve("squashed", Curve::Tanh, next, units);
        let output = self.binary("output", BinaryKind::Mul, [output_gate, squashed], units, UNIT);
        vec![output, next]
    }
}

const fn vector(c: u16) -> Shape {
    Shape { h: 1, w: 1, c }
}
