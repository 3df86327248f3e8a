//! Firmware on emulated boards against the independent reference: every code of every layer of random networks.
//!
//! Needs the program `xtask`: `cargo xtask test` runs it.

use std::fs;
use std::path::Path;
use std::process::Command;

use proptest::strategy::{Strategy, ValueTree};
use proptest::test_runner::TestRunner;
use stepshift_runtime::{Model, Vectors, argmax, digest};
use stepshift_tests::{random, reference};
use stepshift_trainer::export::encode;

/// Networks, each with two images.
const NETWORKS: usize = 300;

/// A network with what its layers must give.
struct Case {
    names: Vec<String>,
    /// `[image][tensor]` codes, inputs first.
    tensors: Vec<Vec<Vec<i8>>>,
}

impl Case {
    /// Writes `N.stepshift` and `N.vectors`.
    fn write(folder: &Path, number: usize, runner: &mut TestRunner) -> Self {
        let network = random::networks().new_tree(runner).unwrap().current();
        let fixed = random::inference_only(&network, number as u64);
        let inputs = [0, 1].map(|image| random::input_codes(network.input.len(), (2 * number + image) as u64));
        let tensors: Vec<_> = inputs.iter().map(|input| reference::evaluate(&fixed, input)).collect();
        let bytes = encode(&fixed).unwrap();
        let crc = Model::parse(&bytes).unwrap().crc();
        let layers = || tensors.iter().flat_map(|tensors| &tensors[1..]);
        let digests: Vec<u8> = layers().flat_map(|codes| digest(codes).to_le_bytes()).collect();
        let class = |tensors: &Vec<Vec<i8>>| u16::try_from(argmax(tensors.last().unwrap())).unwrap();
        let classes: Vec<u8> = tensors.iter().flat_map(|tensors| class(tensors).to_le_bytes()).collect();
        let inputs = inputs.concat();
        let vectors = Vectors::new(crc, network.layers.len(), &inputs, &digests, &classes);
        fs::write(folder.join(format!("{number}.stepshift")), &bytes).unwrap();
        fs::write(folder.join(format!("{number}.vectors")), postcard::to_stdvec(&vectors.unwrap()).unwrap()).unwrap();
        Self { names: network.layers.iter().map(|layer| layer.name.clone()).collect(), tensors }
    }

    /// Layer, index and both codes, from the codes that the firmware wrote beside the vectors.
    fn difference(&self, folder: &Path, number: usize, image: usize, node: usize) -> String {
        let written = fs::read_to_string(folder.join(format!("{number}.vectors.codes"))).unwrap_or_default();
        let expected = &self.tensors[image][node + 1];
        let codes = written.lines().map(|code| code.parse::<i8>().unwrap());
        let found = codes.zip(expected).enumerate().find(|(_, (device, expected))| device != *expected);
        let place = format!("network {number}, image {image}, layer {}", self.names[node]);
        match found {
            Some((index, (device, expected))) => {
                format!("{place}, index {index}: firmware {device}, reference {expected}")
            }
            None => format!("{place}: the firmware wrote {} of {} codes", written.lines().count(), expected.len()),
        }
    }
}

/// Reads `differs PATH: image I, node N: ...`.
fn place(line: &str) -> Option<(usize, usize, usize)> {
    let (path, rest) = line.strip_prefix("differs ")?.split_once(": image ")?;
    let number = Path::new(path).file_stem()?.to_str()?.parse().ok()?;
    let (image, rest) = rest.split_once(", node ")?;
    Some((number, image.parse().ok()?, rest.split(':').next()?.parse().ok()?))
}

#[test]
#[ignore = "needs firmware: `cargo xtask test` runs it"]
fn random_networks_are_equal_on_the_emulated_boards() {
    let xtask = std::env::var_os("STEPSHIFT_XTASK").expect("STEPSHIFT_XTASK names the program xtask");
    let boards = std::env::var("STEPSHIFT_BOARDS").expect("STEPSHIFT_BOARDS names the boards");
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let mut runner = TestRunner::deterministic();
    let cases: Vec<Case> = (0..NETWORKS).map(|number| Case::write(folder, number, &mut runner)).collect();
    let files = (0..NETWORKS).flat_map(|number| [format!("{number}.stepshift"), format!("{number}.vectors")]);
    let list: String = files.map(|name| format!("{}\n", folder.join(name).display())).collect();
    fs::write(folder.join("list"), list).unwrap();
    for board in boards.split_whitespace() {
        let words = ["conformance", "--board", board];
        let output = Command::new(&xtask).args(words).arg(folder.join("list")).output().unwrap();
        let text = String::from_utf8_lossy(&output.stdout);
        for line in text.lines() {
            if let Some((number, image, node)) = place(line) {
                println!("{board}: {}", cases[number].difference(folder, number, image, node));
            }
        }
        assert!(output.status.success(), "{text}{}", String::from_utf8_lossy(&output.stderr));
        assert!(equal(&text) >= NETWORKS / 2, "{text}: too few of {NETWORKS} models fit the board");
        println!("{}", text.trim_end());
    }
}

/// Reads `BOARD: N models equal, ...`.
fn equal(text: &str) -> usize {
    let line = text.lines().find(|line| line.contains("models equal")).unwrap_or_default();
    line.split(' ').nth(1).and_then(|count| count.parse().ok()).unwrap_or(0)
}
