//! Recurrent cells as layers: gated recurrent unit and long short-term memory, whose states stay in the arena between runs.
//!
//! A run takes one step of the sequence. States, gates and their sums are `i16`; weights are 8 bits with an exponent for each
//! channel. Weights and gates are in the order and with the equations of PyTorch's `GRUCell` and `LSTMCell`.

use stepshift_runtime::format::{Activation, BinaryKind, Element, Shape, WeightBits};

use super::tables::Curve;
use super::{ExportError, FixedPointLayer, FixedPointNetwork, FixedPointOp, FixedPointTensor, FixedPointWeights};

/// Exponent of sums before a curve: up to 16.
const SUM: i8 = -11;

/// Exponent of what is between -1 and 1: gates and outputs.
const UNIT: i8 = -15;

/// Exponent of differences of such.
const DIFFERENCE: i8 = -14;

/// Exponent of a memory cell: up to 8.
const MEMORY: i8 = -12;

/// Float weights of a cell of `U` units over inputs of `I` codes; `G` gates, 3 of a GRU, 4 of an LSTM.
#[derive(Debug, Clone, PartialEq)]
pub struct CellWeights {
    /// `[G * U, I]`, `weight_ih`.
    pub input: Vec<f32>,
    /// `[G * U, U]`, `weight_hh`.
    pub hidden: Vec<f32>,
    /// `[G * U]`, `bias_ih`.
    pub input_bias: Vec<f32>,
    /// `[G * U]`, `bias_hh`.
    pub hidden_bias: Vec<f32>,
}

/// Appends a gated recurrent unit (Cho et al. 2014) that reads `input`; returns the tensor of its output, `[1, 1, units]`
/// i16 at exponent -15.
///
/// # Errors
/// [`ExportError::Inconsistent`] where a weight's length is not the cell's.
pub fn gru(
    network: &mut FixedPointNetwork,
    name: &str,
    input: usize,
    units: u16,
    weights: &CellWeights,
) -> Result<usize, ExportError> {
    let mut cell = Cell { network, name };
    let hidden = cell.layer("hidden", &[], (units, UNIT), FixedPointOp::State);
    let (from_input, from_hidden) = cell.sums(input, hidden, units, 3, weights)?;
    let [input_gates, hidden_gates] = [from_input, from_hidden].map(|sums| cell.slice("gate_sums", sums, 0, 2 * units));
    let sums = cell.binary("gates", BinaryKind::Add, [input_gates, hidden_gates], SUM);
    let gates = cell.curve("gates", Curve::Sigmoid, sums, UNIT);
    let reset = cell.slice("reset", gates, 0, units);
    let update = cell.slice("update", gates, units, units);
    let hidden_new = cell.slice("hidden_new", from_hidden, 2 * units, units);
    let input_new = cell.slice("input_new", from_input, 2 * units, units);
    let kept = cell.binary("kept", BinaryKind::Mul, [reset, hidden_new], SUM);
    let sum = cell.binary("new_sum", BinaryKind::Add, [kept, input_new], SUM);
    let new = cell.curve("new", Curve::Tanh, sum, UNIT);
    // (1 - update) * new + update * hidden
    let difference = cell.binary("difference", BinaryKind::Sub, [hidden, new], DIFFERENCE);
    let part = cell.binary("part", BinaryKind::Mul, [difference, update], DIFFERENCE);
    let output = cell.binary("output", BinaryKind::Add, [new, part], UNIT);
    cell.store(output, hidden);
    Ok(output)
}

/// Appends a long short-term memory (Hochreiter and Schmidhuber 1997, with a forget gate) that reads `input`; returns the
/// tensor of its output, `[1, 1, units]` i16 at exponent -15.
///
/// # Errors
/// [`ExportError::Inconsistent`] where a weight's length is not the cell's.
pub fn lstm(
    network: &mut FixedPointNetwork,
    name: &str,
    input: usize,
    units: u16,
    weights: &CellWeights,
) -> Result<usize, ExportError> {
    let mut cell = Cell { network, name };
    let hidden = cell.layer("hidden", &[], (units, UNIT), FixedPointOp::State);
    let memory = cell.layer("memory", &[], (units, MEMORY), FixedPointOp::State);
    let (from_input, from_hidden) = cell.sums(input, hidden, units, 4, weights)?;
    let sums = cell.binary("gates", BinaryKind::Add, [from_input, from_hidden], SUM);
    let mut gate = |name: &str, index: u16, curve: Curve| {
        let sum = cell.slice(name, sums, index * units, units);
        cell.curve(name, curve, sum, UNIT)
    };
    let input_gate = gate("input_gate", 0, Curve::Sigmoid);
    let forget_gate = gate("forget_gate", 1, Curve::Sigmoid);
    let candidate = gate("candidate", 2, Curve::Tanh);
    let output_gate = gate("output_gate", 3, Curve::Sigmoid);
    let kept = cell.binary("kept", BinaryKind::Mul, [forget_gate, memory], MEMORY);
    let new = cell.binary("new", BinaryKind::Mul, [input_gate, candidate], MEMORY);
    let next = cell.binary("next", BinaryKind::Add, [kept, new], MEMORY);
    cell.store(next, memory);
    let squashed = cell.curve("squashed", Curve::Tanh, next, UNIT);
    let output = cell.binary("output", BinaryKind::Mul, [output_gate, squashed], UNIT);
    cell.store(output, hidden);
    Ok(output)
}

/// A cell under construction.
struct Cell<'a> {
    network: &'a mut FixedPointNetwork,
    name: &'a str,
}

impl Cell<'_> {
    fn layer(&mut self, part: &str, inputs: &[usize], (c, exponent): (u16, i8), op: FixedPointOp) -> usize {
        let element = Element::I16;
        let output = FixedPointTensor { element, ..FixedPointTensor::i8(Shape { h: 1, w: 1, c }, exponent) };
        let index = self.network.layers.len();
        // Two layers of one part, a sum and its curve, say.
        let name = format!("{}.{part}", self.name);
        let taken = self.network.layers.iter().any(|layer| layer.name == name);
        let name = if taken { format!("{name}.{index}") } else { name };
        let activation = Activation::full(element);
        self.network.layers.push(FixedPointLayer { name, inputs: inputs.to_vec(), output, activation, op });
        index + 1
    }

    fn slice(&mut self, part: &str, tensor: usize, start: u16, len: u16) -> usize {
        let exponent = self.network.tensor(tensor).exponent;
        self.layer(part, &[tensor], (len, exponent), FixedPointOp::Slice { start: [0, 0, start] })
    }

    fn binary(&mut self, part: &str, kind: BinaryKind, operands: [usize; 2], exponent: i8) -> usize {
        let c = self.network.tensor(operands[0]).shape.c;
        self.layer(part, &operands, (c, exponent), FixedPointOp::Binary(kind))
    }

    fn curve(&mut self, part: &str, curve: Curve, tensor: usize, exponent: i8) -> usize {
        let input = self.network.tensor(tensor);
        let output = FixedPointTensor { exponent, ..input };
        let codes = curve.codes(input, output);
        self.layer(part, &[tensor], (input.shape.c, exponent), FixedPointOp::Table { codes })
    }

    fn store(&mut self, tensor: usize, state: usize) {
        let FixedPointTensor { shape, exponent, .. } = self.network.tensor(tensor);
        self.layer("store", &[tensor, state], (shape.c, exponent), FixedPointOp::Store);
    }

    /// What the gates get from the input and from the state, before the curves.
    fn sums(
        &mut self,
        input: usize,
        hidden: usize,
        units: u16,
        gates: u16,
        weights: &CellWeights,
    ) -> Result<(usize, usize), ExportError> {
        let from_input = self.connected("input", input, gates * units, &weights.input, &weights.input_bias)?;
        let from_hidden =
            self.connected("hidden_sums", hidden, gates * units, &weights.hidden, &weights.hidden_bias)?;
        Ok((from_input, from_hidden))
    }

    fn connected(
        &mut self,
        part: &str,
        input: usize,
        out_ch: u16,
        weight: &[f32],
        bias: &[f32],
    ) -> Result<usize, ExportError> {
        let operand = self.network.tensor(input);
        let (len, out_ch_len) = (operand.shape.len(), usize::from(out_ch));
        if weight.len() != len * out_ch_len || bias.len() != out_ch_len {
            let what = format!(
                "{} weights and {} biases instead of {} and {out_ch_len}",
                weight.len(),
                bias.len(),
                len * out_ch_len
            );
            return Err(ExportError::Inconsistent { layer: format!("{}.{part}", self.name), what });
        }
        let weights = quantized(weight, bias, len, operand.exponent);
        Ok(self.layer(part, &[input], (out_ch, SUM), FixedPointOp::FullyConnected { weights }))
    }
}

/// Codes of 8 bits with the exponent that covers each row. Spec 1.2, 1.4.
fn quantized(weight: &[f32], bias: &[f32], row_len: usize, input_exponent: i8) -> FixedPointWeights {
    let rows = weight.chunks(row_len.max(1));
    // No right shift above 30, nor a bias far outside 32 bits.
    let exponents: Vec<i8> = rows.clone().map(|row| covering_exponent(row).clamp(-16, 16)).collect();
    let code = |value: f32, exponent: i32| (f64::from(value) * 2_f64.powi(-exponent) + 0.5).floor();
    let codes = rows.zip(&exponents).flat_map(|(row, exponent)| {
        row.iter().map(move |value| code(*value, (*exponent).into()).clamp(-127.0, 127.0) as i16)
    });
    let biases = bias.iter().zip(&exponents);
    let bias = biases.map(|(value, exponent)| code(*value, i32::from(*exponent) + i32::from(input_exponent)) as i64);
    FixedPointWeights {
        bits: WeightBits::Eight,
        codes: codes.collect(),
        bias: bias.collect(),
        exponents: exponents.clone(),
        mantissas: Vec::new(),
    }
}

/// The least `e` with `max|w| <= 127 * 2^e`. Spec 1.4.
fn covering_exponent(row: &[f32]) -> i8 {
    let greatest = f64::from(row.iter().fold(0_f32, |greatest, value| greatest.max(value.abs())));
    (-40..=40).find(|exponent| greatest <= 127.0 * 2_f64.powi((*exponent).into())).unwrap_or(40)
}
