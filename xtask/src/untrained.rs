//! Models of built-in networks with random weights: what they take does not depend on what they have learned.

use std::fs;
use std::path::PathBuf;

use anyhow::{Context, Result, ensure};
use serde::Deserialize;
use serde::de::IntoDeserializer;
use serde::de::value::Error;
use stepshift_tests::{random, reference};
use stepshift_trainer::export::patches::fit;
use stepshift_trainer::export::{FixedPointNetwork, Options, Prefer, encode_with};
use stepshift_trainer::network::Network;
use stepshift_trainer::networks::NetworkName;

use crate::boards::Board;
use crate::workspace::target;

/// Outputs of the networks.
const OUTPUTS: u16 = 10;

/// Exponents of activations and weights: accumulators of trained networks are shifted to the right.
const ACTIVATION_EXPONENT: i8 = -4;
const WEIGHT_EXPONENT: i8 = -9;

/// Writes the model of a network, packed for a board, with a self-test by the reference; its path.
///
/// ram  bytes of arena, for which its first layers run patch by patch where they must, and others spare no more time than has room
///
/// # Errors
/// Where there is no such network, or none that fits.
pub(crate) fn model(name: &str, board: &Board, prefer: Prefer, ram: Option<usize>) -> Result<PathBuf> {
    let parsed: Result<NetworkName, Error> = NetworkName::deserialize(name.into_deserializer());
    let network = parsed.context("--network")?;
    let network = Network::new(network.usual_input(), &network.layers(OUTPUTS))?;
    ensure!(
        network.cells.is_empty(),
        "--network {name}: nothing draws a recurrent network; train one, and name its model by --model"
    );
    let network = with_usual_steps(random::fixed_point(&network, 1));
    let sample = reference::evaluate(&network, &random::input_codes(network.input, 1));
    let patching = ram.map(|budget| fit(&network, board.backend, budget)).transpose()?.and_then(|fit| fit.patching);
    let within = ram.map_or(prefer, |budget| prefer.within(budget));
    let options = Options { backend: board.backend, prefer: within, patching, sample: Some(&sample) };
    let bytes = encode_with(&network, options)?;
    let path = target(&format!("networks/{name}-{}-{prefer:?}.stepshift", board.backend.name()).to_lowercase());
    fs::create_dir_all(target("networks"))?;
    fs::write(&path, bytes).with_context(|| format!("cannot write {}", path.display()))?;
    Ok(path)
}

/// The network at the steps that training gives one, where random ones ask for kernels that it has no use for.
fn with_usual_steps(mut network: FixedPointNetwork) -> FixedPointNetwork {
    network.input.exponent = ACTIVATION_EXPONENT;
    for layer in &mut network.layers {
        layer.output.exponent = ACTIVATION_EXPONENT;
        if let Some(weights) = layer.op.weights_mut() {
            weights.exponents.fill(WEIGHT_EXPONENT);
        }
    }
    network
}
