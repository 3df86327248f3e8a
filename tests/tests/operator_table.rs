//! The table of operators in ARCHITECTURE.md against the code.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use proptest::strategy::{Strategy, ValueTree};
use proptest::test_runner::TestRunner;
use stepshift_runtime::Model;
use stepshift_runtime::format::{OPERATOR_COUNT, Op, OperatorKind};
use stepshift_tests::random;
use stepshift_trainer::export::steps::tensors;

/// Cells of the table's rows: number, operator, activations, weights, portable kernel, backends that have it too.
fn rows() -> Vec<Vec<String>> {
    let text = include_str!("../../ARCHITECTURE.md");
    let section = text.split("## Operators, widths, backends").nth(1).unwrap();
    let table = section.split("\n## ").next().unwrap();
    let cells = |line: &str| line.trim_matches('|').split('|').map(|cell| cell.trim().replace('`', "")).collect();
    table.lines().filter(|line| line.starts_with("| ") && !line.starts_with("| #")).map(cells).collect()
}

#[test]
fn every_operator_of_the_format_is_in_the_table_in_order() {
    let rows = rows();
    assert_eq!(rows.len() as u32, OPERATOR_COUNT);
    let last = format!("{:?}", OperatorKind::AffineSoftmax);
    assert_eq!(rows.last().unwrap()[1], last);
    for (number, row) in rows.iter().enumerate() {
        assert_eq!(row[0], number.to_string());
    }
    // The numbers of some, so that an order that changed in the code is seen.
    for kind in [OperatorKind::Conv2d, OperatorKind::Binary, OperatorKind::Softmax, OperatorKind::Transpose] {
        assert_eq!(rows[kind as usize][1], format!("{kind:?}"));
    }
}

#[test]
fn every_kernel_that_the_table_names_exists() {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("../runtime/src");
    for row in rows() {
        let kernel = source.join("kernels/portable").join(&row[4]).with_extension("rs");
        let in_session = source.join(&row[4]).with_extension("rs");
        assert!(kernel.exists() || row[4] == "session" && in_session.exists(), "{}: {}", row[1], kernel.display());
    }
}

/// The last column is what stands in the folders, no more and no less.
#[test]
fn other_backends_are_those_that_have_a_kernel_of_that_name() {
    let kernels = Path::new(env!("CARGO_MANIFEST_DIR")).join("../runtime/src/kernels");
    let mut count = 0;
    for row in rows() {
        let named: Vec<&str> = row[5].split_whitespace().collect();
        let has = |backend: &&str| kernels.join(backend).join(&row[4]).with_extension("rs").exists();
        let found: Vec<&str> = ["dsp", "mve", "v6m", "bytes"].into_iter().filter(has).collect();
        assert_eq!(named, found, "{}", row[1]);
        count += found.len();
    }
    assert!(count > 10, "{count}");
}

/// Elements and widths of every node of many random networks, which the equivalence tests run: those of the table and no
/// others.
#[test]
fn widths_are_those_that_the_equivalence_tests_run() {
    let mut found: BTreeMap<String, [BTreeSet<String>; 2]> = BTreeMap::new();
    let mut runner = TestRunner::deterministic();
    for seed in 0..2000 {
        let network = random::networks().new_tree(&mut runner).unwrap().current();
        let fixed = random::every_kind(&network, seed);
        let bytes = random::encoded(&fixed, seed).unwrap();
        let model = Model::parse(&bytes).unwrap();
        for (node, tensor) in model.nodes().zip(tensors(model)) {
            let input = tensor.checked_sub(1).and_then(|layer| fixed.layers[layer].inputs.first().copied());
            // The ends of a stage of patches copy what they read.
            let read = if matches!(node.op, Op::PatchInput(_) | Op::PatchOutput(_)) { None } else { input };
            let element = fixed.tensor(read.unwrap_or(tensor)).element;
            let [elements, widths] = found.entry(format!("{:?}", node.op.kind())).or_default();
            elements.insert(format!("{element:?}").to_lowercase());
            widths.extend(node.op.weights().map(|weights| weights.bits.bits().to_string()));
        }
    }
    for row in rows() {
        let words = |cell: &str| -> BTreeSet<String> {
            cell.replace("bits", "").split([' ', ',']).filter(|word| !word.is_empty()).map(str::to_owned).collect()
        };
        assert_eq!(found[&row[1]], [words(&row[2]), words(&row[3])], "{}", row[1]);
    }
}
