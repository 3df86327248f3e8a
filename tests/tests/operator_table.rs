//! The table of operators in ARCHITECTURE.md against the code.

use std::path::Path;

use stepshift_runtime::format::{ALL_OPERATORS, OperatorKind};

/// Cells of the table's rows: number, operator, activations, weights, portable kernel.
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
    assert_eq!(rows.len() as u32, ALL_OPERATORS.count_ones());
    let last = format!("{:?}", OperatorKind::UpsampleBilinear);
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

#[test]
fn widths_are_those_that_the_kernels_read() {
    for row in rows() {
        assert_eq!(row[2], "i8");
        let weighted = row[1].contains("Conv2d") || row[1] == "FullyConnected";
        assert_eq!(row[3] == "i8", weighted, "{}", row[1]);
    }
}
