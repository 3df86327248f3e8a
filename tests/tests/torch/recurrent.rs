//! Recurrent and streaming networks: the trainer's exact forward of a window against the window's model and against the
//! model that takes one row a run, tensor by tensor.

use ndarray::{Array4, Axis, s};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde::Deserialize;
use stepshift_runtime::format::Shape;
use stepshift_runtime::{Model, Session};
use stepshift_trainer::config;
use stepshift_trainer::export::streaming::streaming;
use stepshift_trainer::export::{FixedPointOp, encode};
use stepshift_trainer::layer_config::LayerConfig;
use stepshift_trainer::network::Network;
use stepshift_trainer::torch::float_network::FloatNetwork;
use stepshift_trainer::torch::quantized_network::{Mode, QuantizedNetwork};
use tch::Tensor;

/// Exponent of the input's codes.
const INPUT: i8 = -5;

#[derive(Deserialize)]
struct Layers {
    layers: Vec<LayerConfig>,
}

/// A network whose steps follow from some random windows, and that learned from none of them.
fn quantized(input: Shape, layers: &str, seed: u64) -> QuantizedNetwork {
    let parsed: Layers = toml::from_str(&format!("layers = [{layers}]")).unwrap();
    let network = Network::new(input, &parsed.layers).unwrap();
    let mut config = config::parse(include_str!("../../../trainer/configs/digits.toml")).unwrap().quantized;
    config.layers.clear();
    let mut quantized = QuantizedNetwork::fold(&FloatNetwork::new(&network, seed), INPUT, &config).unwrap();
    let windows = windows(input, 8, seed);
    let x: Vec<f32> = windows.iter().map(|code| f32::from(*code) * 2_f32.powi(INPUT.into())).collect();
    let [h, w, c] = [input.h, input.w, input.c].map(i64::from);
    let x = Tensor::from_slice(&x).view([8, h, w, c]).permute([0, 3, 1, 2]);
    let output = quantized.train_forward(&x, Mode::Learning).unwrap();
    output.square().sum(tch::Kind::Float).backward();
    for (name, parameter, _) in quantized.parameters() {
        let gradient = parameter.grad();
        assert!(gradient.defined() && gradient.abs().sum(tch::Kind::Float).double_value(&[]) > 0.0, "{name}");
    }
    quantized.freeze();
    quantized
}

fn windows(input: Shape, count: usize, seed: u64) -> Array4<i16> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let shape = (count, input.h.into(), input.w.into(), input.c.into());
    Array4::from_shape_simple_fn(shape, || rng.random_range(-128..=127))
}

/// Every code of the window's model, and of every run of the streaming one.
fn check(input: Shape, layers: &str) {
    (0..3).for_each(|seed| check_one(input, layers, seed));
}

fn check_one(input: Shape, layers: &str, seed: u64) {
    let network = quantized(input, layers, seed);
    let fixed = network.to_fixed_point().unwrap();
    let window = windows(input, 1, seed + 100);
    let expected = network.exact_codes(window.view()).unwrap();
    let bytes = encode(&fixed).unwrap();
    let model = Model::parse(&bytes).unwrap();
    let mut arena = vec![0x5a; model.arena_bytes()];
    let mut session = Session::new(model, &mut arena).unwrap();
    session.input_mut().copy_from(window.iter().copied());
    session.run_observed(|output| {
        let codes: Vec<i16> = output.codes.iter().collect();
        assert_eq!(codes, expected[output.index].iter().copied().collect::<Vec<_>>(), "{}", output.index);
    });
    streams(&network, &window, &expected);
}

/// What the streaming model writes at each run, by the names of its layers.
fn streams(network: &QuantizedNetwork, window: &Array4<i16>, expected: &[Array4<i16>]) {
    let network_of_window = network.network();
    let fixed = streaming(&network.to_fixed_point().unwrap(), &network_of_window.cells).unwrap();
    let bytes = encode(&fixed).unwrap();
    let model = Model::parse(&bytes).unwrap();
    let mut arena = vec![0x5a; model.arena_bytes()];
    let mut session = Session::new(model, &mut arena).unwrap();
    let rows = window.len_of(Axis(1));
    let mut compared = 0;
    for row in 0..rows {
        session.input_mut().copy_from(window.slice(s![0, row, .., ..]).iter().copied());
        session.run_observed(|output| {
            let name = &fixed.layers[output.index].name;
            let codes: Vec<i16> = output.codes.iter().collect();
            let of_step = name.split_once('.').map(|(cell, part)| format!("{cell}.{row}.{part}"));
            let find = |name: &str| network_of_window.layers.iter().position(|layer| layer.name == name);
            let by_step = of_step.and_then(|name| find(&name));
            let whole = find(name).map(|index| &expected[index]);
            let right: Option<Vec<i16>> = match (by_step, whole) {
                (Some(index), _) => Some(expected[index].iter().copied().collect()),
                (None, Some(_)) if fixed.layers[output.index].op == FixedPointOp::State => None,
                // A layer with a row for each run, from the first that the window has.
                (None, Some(whole)) if whole.len() > codes.len() => {
                    let missing = rows - whole.len_of(Axis(1));
                    let row = row.checked_sub(missing);
                    row.map(|row| whole.slice(s![0, row, .., ..]).iter().copied().collect())
                }
                (None, Some(whole)) if row + 1 == rows => Some(whole.iter().copied().collect()),
                _ => None,
            };
            if let Some(right) = right {
                assert_eq!(codes, right, "{name}, row {row}");
                compared += 1;
            }
        });
    }
    assert!(compared > rows, "only {compared} tensors were compared");
    let last = expected.last().unwrap();
    assert_eq!(session.output().iter().collect::<Vec<_>>(), last.iter().copied().collect::<Vec<_>>());
}

#[test]
fn a_trained_gru_is_the_window_step_by_step() {
    let layers = r#"{name = "gru", op = "gru", units = 6}, {name = "fc", op = "fully_connected", out_ch = 4}"#;
    check(Shape { h: 9, w: 5, c: 2 }, layers);
}

#[test]
fn a_trained_lstm_is_the_window_step_by_step() {
    let layers = r#"{name = "lstm", op = "lstm", units = 5}, {name = "fc", op = "fully_connected", out_ch = 4}"#;
    check(Shape { h: 7, w: 1, c: 8 }, layers);
}

#[test]
fn recurrent_layers_stack() {
    let layers = r#"{name = "below", op = "gru", units = 5, sequence = true},
        {name = "middle", op = "lstm", units = 4, sequence = true},
        {name = "above", op = "gru", units = 6}, {name = "fc", op = "fully_connected", out_ch = 4}"#;
    // More rows than one concatenation takes.
    check_one(Shape { h: 17, w: 5, c: 1 }, layers, 0);
}

#[test]
fn convolutions_along_time_stream_before_a_recurrent_layer() {
    let layers = r#"{name = "conv", op = "conv2d", out_ch = 6, kernel = [3, 4], padding = [2, 0, 0, 0], relu = true},
        {name = "gru", op = "gru", units = 6}, {name = "fc", op = "fully_connected", out_ch = 4}"#;
    check(Shape { h: 8, w: 6, c: 1 }, layers);
}

#[test]
fn convolutions_without_padding_and_a_pool_over_the_window_stream() {
    let layers = r#"{name = "conv1", op = "conv2d", out_ch = 6, kernel = [3, 4], relu = true},
        {name = "conv2", op = "depthwise_conv2d", kernel = [2, 1], dilation = [2, 1]}, {name = "sum", op = "add", inputs = ["conv2", "conv2"]},
        {name = "pool", op = "global_average_pool"}, {name = "fc", op = "fully_connected", out_ch = 4}"#;
    check(Shape { h: 10, w: 6, c: 1 }, layers);
}

#[test]
fn a_recurrent_layer_behind_rows_that_the_window_lacks_is_refused() {
    let layers = r#"{name = "conv", op = "conv2d", out_ch = 6, kernel = [3, 1], relu = true},
        {name = "gru", op = "gru", units = 6}, {name = "fc", op = "fully_connected", out_ch = 4}"#;
    let network = quantized(Shape { h: 8, w: 6, c: 1 }, layers, 1);
    let error = streaming(&network.to_fixed_point().unwrap(), &network.network().cells).unwrap_err();
    assert!(error.to_string().starts_with("layer gru: a convolution before it has less padding above"), "{error}");
}
