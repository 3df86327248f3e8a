//! Recurrent cells in integers: against floating point, and bit for bit against the reference.

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use stepshift_runtime::format::Shape;
use stepshift_runtime::{Model, Session};
use stepshift_tests::reference;
use stepshift_trainer::export::cells::{CellWeights, gru, lstm};
use stepshift_trainer::export::{FixedPointNetwork, FixedPointOp, FixedPointTensor, encode};

const INPUTS: usize = 12;
const UNITS: usize = 10;
const STEPS: usize = 40;

/// Exponent of the input's codes.
const INPUT: i8 = -6;

fn weights(gates: usize, rng: &mut ChaCha8Rng) -> CellWeights {
    // Codes of 8 bits hold them exactly: what is left are the roundings of gates and states.
    let mut draw = |count: usize| {
        (0..count).map(|_| rng.random_range(-76..=76_i8).into()).map(|code: f32| code / 128.0).collect::<Vec<_>>()
    };
    CellWeights {
        input: draw(gates * UNITS * INPUTS),
        hidden: draw(gates * UNITS * UNITS),
        input_bias: draw(gates * UNITS),
        hidden_bias: draw(gates * UNITS),
    }
}

/// `W * x + b`, rows of `x.len()`.
fn product(weight: &[f32], bias: &[f32], x: &[f64]) -> Vec<f64> {
    let row = |row: &[f32]| row.iter().zip(x).map(|(w, x)| f64::from(*w) * x).sum::<f64>();
    weight.chunks(x.len()).map(row).zip(bias).map(|(sum, bias)| sum + f64::from(*bias)).collect()
}

fn sigmoid(x: f64) -> f64 {
    1.0 / (1.0 + (-x).exp())
}

/// PyTorch's equations of `GRUCell`.
fn gru_step(weights: &CellWeights, x: &[f64], state: &mut [Vec<f64>]) {
    let (i, h) = sums(weights, x, &state[0]);
    let next = |u: usize| {
        let reset = sigmoid(i[u] + h[u]);
        let update = sigmoid(i[UNITS + u] + h[UNITS + u]);
        let new = (i[2 * UNITS + u] + reset * h[2 * UNITS + u]).tanh();
        (1.0 - update) * new + update * state[0][u]
    };
    state[0] = (0..UNITS).map(next).collect();
}

/// PyTorch's equations of `LSTMCell`: input, forget, cell and output gate.
fn lstm_step(weights: &CellWeights, x: &[f64], state: &mut [Vec<f64>]) {
    let (i, h) = sums(weights, x, &state[0]);
    let gate = |index: usize, u: usize| i[index * UNITS + u] + h[index * UNITS + u];
    let memory = |u: usize| sigmoid(gate(1, u)) * state[1][u] + sigmoid(gate(0, u)) * gate(2, u).tanh();
    let memory: Vec<f64> = (0..UNITS).map(memory).collect();
    state[0] = (0..UNITS).map(|u| sigmoid(gate(3, u)) * memory[u].tanh()).collect();
    state[1] = memory;
}

fn sums(weights: &CellWeights, x: &[f64], hidden: &[f64]) -> (Vec<f64>, Vec<f64>) {
    (product(&weights.input, &weights.input_bias, x), product(&weights.hidden, &weights.hidden_bias, hidden))
}

/// The greatest distance from floating point over a sequence; every code of every layer is the reference's.
fn greatest_error(
    network: &FixedPointNetwork,
    weights: &CellWeights,
    inputs: &[Vec<i16>],
    step: fn(&CellWeights, &[f64], &mut [Vec<f64>]),
) -> f64 {
    let bytes = encode(network).unwrap();
    let model = Model::parse(&bytes).unwrap();
    let mut arena = vec![0x5a; model.arena_bytes()];
    let mut session = Session::new(model, &mut arena).unwrap();
    let expected = reference::evaluate_sequence(network, inputs);
    let mut state = [vec![0.0; UNITS], vec![0.0; UNITS]];
    let mut greatest = 0_f64;
    for (codes, expected) in inputs.iter().zip(&expected) {
        session.input_mut().copy_from(codes.iter().copied());
        session.run_observed(|output| {
            assert_eq!(output.codes.iter().collect::<Vec<_>>(), expected[output.index + 1], "{}", output.name);
        });
        let x: Vec<f64> = codes.iter().map(|code| f64::from(*code) * 2_f64.powi(INPUT.into())).collect();
        step(weights, &x, &mut state);
        let output = model.output();
        for (code, exact) in session.output().iter().zip(&state[0]) {
            greatest = greatest.max((f64::from(code) * 2_f64.powi(output.exponent.into()) - exact).abs());
        }
    }
    greatest
}

fn inputs(rng: &mut ChaCha8Rng) -> Vec<Vec<i16>> {
    (0..STEPS).map(|_| (0..INPUTS).map(|_| rng.random_range(-128..=127)).collect()).collect()
}

/// The cell alone; its output is read by a clip, since what is stored comes behind it.
fn cell(build: impl FnOnce(&mut FixedPointNetwork) -> usize) -> FixedPointNetwork {
    let input = FixedPointTensor::i8(Shape { h: 1, w: 1, c: INPUTS as u16 }, INPUT);
    let mut network = FixedPointNetwork { input, layers: Vec::new() };
    let output = build(&mut network);
    let mut last = network.layers[output - 1].clone();
    (last.name, last.inputs, last.op) = ("last".to_owned(), vec![output], FixedPointOp::Clip);
    network.layers.push(last);
    network
}

#[test]
fn a_gru_follows_floating_point_over_a_sequence() {
    for seed in 0..10 {
        let rng = &mut ChaCha8Rng::seed_from_u64(seed);
        let weights = weights(3, rng);
        let network = cell(|network| gru(network, "gru", 0, UNITS as u16, &weights).unwrap());
        let error = greatest_error(&network, &weights, &inputs(rng), gru_step);
        assert!(error < 0.005, "seed {seed}: {error}");
    }
}

#[test]
fn an_lstm_follows_floating_point_over_a_sequence() {
    for seed in 0..10 {
        let rng = &mut ChaCha8Rng::seed_from_u64(seed);
        let weights = weights(4, rng);
        let network = cell(|network| lstm(network, "lstm", 0, UNITS as u16, &weights).unwrap());
        let error = greatest_error(&network, &weights, &inputs(rng), lstm_step);
        assert!(error < 0.005, "seed {seed}: {error}");
    }
}

#[test]
fn weights_of_another_length_are_named() {
    let rng = &mut ChaCha8Rng::seed_from_u64(0);
    let mut weights = weights(3, rng);
    weights.input.pop();
    let input = FixedPointTensor::i8(Shape { h: 1, w: 1, c: INPUTS as u16 }, INPUT);
    let mut network = FixedPointNetwork { input, layers: Vec::new() };
    let error = gru(&mut network, "gru", 0, UNITS as u16, &weights).unwrap_err();
    assert_eq!(error.to_string(), "layer gru.input: 359 weights and 30 biases instead of 360 and 30");
}
