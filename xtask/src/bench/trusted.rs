//! A list of layers in firmware that is built for each layer, and trusts its model.

use std::fs;

use anyhow::{Context, Result, ensure};
use indicatif::ProgressIterator;

use super::{Cost, Row};
use crate::boards::Board;
use crate::inference;

/// Counts the instructions of models of one layer, whose bits are those of their certificates.
///
/// # Errors
/// Names the layer whose firmware does not build, or whose bits are others.
pub(super) fn count(board: &Board, files: &[Vec<u8>], rows: &mut [Row]) -> Result<()> {
    let folder = tempfile::tempdir()?;
    for (number, bytes) in files.iter().enumerate().progress() {
        let row = &mut rows[number];
        let path = folder.path().join(format!("{number}.stepshift"));
        fs::write(&path, bytes)?;
        let ran = inference::run_trusted(board, &path).with_context(|| format!("layer {}", row.layer))?;
        ensure!(ran.self_test, "{}: layer {} tested nothing", board.name, row.layer);
        // The last node is the layer.
        row.cost = Cost::Instructions(ran.nodes.last().map_or(0, |(_, instructions)| *instructions));
    }
    Ok(())
}
