//! Firmware on emulated boards against the independent reference: every code of every layer of random networks.
//!
//! Builds firmware by `cargo xtask`, which runs this test: `cargo xtask test`.

use std::fs;
use std::path::Path;
use std::process::Command;

use proptest::strategy::{Strategy, ValueTree};
use proptest::test_runner::TestRunner;
use stepshift_runtime::{Backend, Codes, Model, Vectors, argmax};
use stepshift_tests::{random, reference, suite};
use stepshift_trainer::export::steps::{Step, arena_bytes_of, steps};
use stepshift_trainer::export::{FixedPointNetwork, Options, Prefer, encode_with};

/// Networks, each with two images.
const NETWORKS: usize = 300;

/// A network with what its layers must give.
struct Case {
    names: Vec<String>,
    steps: Vec<Step>,
    /// `[image][tensor]` codes, inputs first.
    tensors: Vec<Vec<Vec<i16>>>,
}

impl Case {
    /// A network of any operators.
    fn random(folder: &Path, number: usize, runner: &mut TestRunner) -> Self {
        let network = random::networks().new_tree(runner).unwrap().current();
        let seed = number as u64;
        let affine = number.is_multiple_of(5).then(|| random::affine_inference_only(&network, seed)).flatten();
        let fixed = affine.unwrap_or_else(|| random::inference_only(&network, seed));
        Self::write(folder, number, &fixed, &random::encoded(&fixed, seed).unwrap())
    }

    /// A network of the kernels' suite, packed for a backend.
    fn of_suite(folder: &Path, number: usize, network: &FixedPointNetwork, backend: Backend) -> Self {
        // The firmware lets four models in a row begin at four alignments: each order is run at every one.
        let prefer = if (number / 4).is_multiple_of(2) { Prefer::Memory } else { Prefer::Speed };
        let bytes = encode_with(network, Options { backend, prefer, ..Options::default() }).unwrap();
        Self::write(folder, number, network, &bytes)
    }

    /// Writes `N.stepshift` and `N.vectors`.
    fn write(folder: &Path, number: usize, fixed: &FixedPointNetwork, bytes: &[u8]) -> Self {
        let inputs = [0, 1].map(|image| random::input_codes(fixed.input, 2 * number as u64 + image));
        let tensors: Vec<_> = inputs.iter().map(|input| reference::evaluate(fixed, input)).collect();
        let model = Model::parse(bytes).unwrap();
        let steps = steps(model, |tensor| fixed.tensor(tensor).shape);
        let in_arena = |tensor: usize, codes: &[i16]| arena_bytes_of(fixed.tensor(tensor).element, codes);
        let (mut digests, mut classes) = (Vec::new(), Vec::new());
        for tensors in &tensors {
            digests.extend(steps.iter().flat_map(|step| step.digest(tensors).to_le_bytes()));
            let last = tensors.len() - 1;
            let output = in_arena(last, &tensors[last]);
            let class = argmax(Codes::new(fixed.tensor(last).element, &output));
            classes.extend(u16::try_from(class).unwrap().to_le_bytes());
        }
        let inputs = inputs.map(|codes| in_arena(0, &codes)).concat();
        let vectors = Vectors::new(model.crc(), model.step_count(), &inputs, &digests, &classes);
        fs::write(folder.join(format!("{number}.stepshift")), bytes).unwrap();
        fs::write(folder.join(format!("{number}.vectors")), postcard::to_stdvec(&vectors.unwrap()).unwrap()).unwrap();
        Self { names: model.nodes().map(|node| node.name.to_string()).collect(), steps, tensors }
    }

    /// Layer, index and both codes, from the codes that the firmware wrote beside the vectors.
    fn difference(&self, folder: &Path, number: usize, image: usize, step: usize) -> String {
        let written = fs::read_to_string(folder.join(format!("{number}.vectors.codes"))).unwrap_or_default();
        let step = self.steps[step];
        let expected: Vec<i16> = step.codes(&self.tensors[image]).collect();
        let codes = written.lines().map(|code| code.parse::<i16>().unwrap());
        let found = codes.zip(&expected).enumerate().find(|(_, (device, expected))| device != *expected);
        let place = format!("network {number}, image {image}, layer {}, from {:?}", self.names[step.node], step.origin);
        match found {
            Some((index, (device, expected))) => {
                format!("{place}, index {index}: firmware {device}, reference {expected}")
            }
            None => format!("{place}: the firmware wrote {} of {} codes", written.lines().count(), expected.len()),
        }
    }
}

/// Reads image and step of `differs PATH: image I, node N, step S: ...`.
fn place(line: &str) -> Option<(usize, usize, usize)> {
    let (path, rest) = line.strip_prefix("differs ")?.split_once(": image ")?;
    let number = Path::new(path).file_stem()?.to_str()?.parse().ok()?;
    let (image, rest) = rest.split_once(", node ")?;
    let (_, rest) = rest.split_once(", step ")?;
    Some((number, image.parse().ok()?, rest.split(':').next()?.parse().ok()?))
}

#[test]
#[ignore = "needs firmware: `cargo xtask test` runs it"]
fn random_networks_are_equal_on_the_emulated_boards() {
    let folder = tempfile::tempdir().unwrap();
    let mut runner = TestRunner::deterministic();
    let cases: Vec<Case> = (0..NETWORKS).map(|number| Case::random(folder.path(), number, &mut runner)).collect();
    for (board, _) in boards() {
        compare(&board, folder.path(), &cases);
    }
}

#[test]
#[ignore = "needs firmware: `cargo xtask test` runs it"]
fn the_suite_of_kernels_is_equal_on_the_emulated_boards() {
    let networks = suite::networks();
    for (board, backend) in boards() {
        let folder = tempfile::tempdir().unwrap();
        let cases = networks.iter().enumerate();
        let cases: Vec<Case> =
            cases.map(|(number, network)| Case::of_suite(folder.path(), number, network, backend)).collect();
        compare(&board, folder.path(), &cases);
    }
}

/// Names and backends of the boards, from `NAME:BACKEND ...`.
fn boards() -> Vec<(String, Backend)> {
    let boards = std::env::var("STEPSHIFT_BOARDS").expect("STEPSHIFT_BOARDS names the boards");
    let board = |text: &str| {
        let (name, backend) = text.split_once(':').unwrap();
        (name.to_owned(), Backend::ALL.into_iter().find(|known| known.name() == backend).unwrap())
    };
    boards.split_whitespace().map(board).collect()
}

/// Runs what lies in a folder on one board.
fn compare(board: &str, folder: &Path, cases: &[Case]) {
    let files = (0..cases.len()).flat_map(|number| [format!("{number}.stepshift"), format!("{number}.vectors")]);
    let list: String = files.map(|name| format!("{}\n", folder.join(name).display())).collect();
    fs::write(folder.join("list"), list).unwrap();
    // By cargo, not by the path of the xtask that started this: a test of its other features replaces that file.
    let words = ["run", "--quiet", "--package", "xtask", "--", "conformance", "--board", board];
    let output = Command::new(env!("CARGO")).args(words).arg(folder.join("list")).output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    for line in text.lines() {
        if let Some((number, image, step)) = place(line) {
            println!("{board}: {}", cases[number].difference(folder, number, image, step));
        }
    }
    assert!(output.status.success(), "{text}{}", String::from_utf8_lossy(&output.stderr));
    assert!(equal(&text) >= cases.len() / 2, "{text}: too few of {} models fit the board", cases.len());
    println!("{}", text.trim_end());
}

/// Reads `BOARD: N models equal, ...`.
fn equal(text: &str) -> usize {
    let line = text.lines().find(|line| line.contains("models equal")).unwrap_or_default();
    line.split(' ').nth(1).and_then(|count| count.parse().ok()).unwrap_or(0)
}
