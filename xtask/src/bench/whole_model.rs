//! The layers of a model file, instead of a list.

use std::path::Path;

use anyhow::{Context, Result};
use stepshift_runtime::Model;
use stepshift_runtime::format::{Op, Shape};

use super::{Cost, Row};
use crate::boards::Board;
use crate::inference;
use crate::model_file::ModelFile;

/// Counts the instructions of every layer on an emulated board.
///
/// # Errors
/// Where the model is none, or does not fit the board.
pub(super) fn in_qemu(board: &Board, path: &Path, trusted: bool) -> Result<Vec<Row>> {
    let file = ModelFile::read(path)?;
    let ran = if trusted { inference::run_trusted(board, path)? } else { inference::run(board, path, None)? };
    let counts = ran.nodes;
    rows(&file.model()?, counts.into_iter().map(|(_, instructions)| Cost::Instructions(instructions)))
}

/// A row for every layer.
pub(super) fn rows(model: &Model<'_>, costs: impl Iterator<Item = Cost>) -> Result<Vec<Row>> {
    let nodes = model.nodes().enumerate().zip(costs);
    nodes
        .map(|((index, node), cost)| {
            let macs = macs(model, index, &node.op)?;
            let scratch_bytes = node.op.scratch().bytes.into();
            Ok(Row { layer: node.name.to_string(), count: 1, macs, cost, scratch_bytes, arena_bytes: None })
        })
        .collect()
}

/// Multiply-accumulates of a layer; 0 for one without weights.
fn macs(model: &Model<'_>, node: usize, op: &Op<'_>) -> Result<u64> {
    let shape = |tensor: usize| model.tensor(tensor).map(|tensor| tensor.shape).context("every node has its tensors");
    let (len, output) = (|shape: Shape| shape.len() as u64, shape(node + 1)?);
    Ok(match op {
        Op::Conv2d(op) => {
            let window = u64::from(op.window.kernel_h) * u64::from(op.window.kernel_w);
            len(output) * window * u64::from(shape(op.input.into())?.c / op.groups)
        }
        Op::DepthwiseConv2d(op) => len(output) * u64::from(op.window.kernel_h) * u64::from(op.window.kernel_w),
        Op::TransposeConv2d(op) => {
            let window = u64::from(op.window.kernel_h) * u64::from(op.window.kernel_w);
            len(shape(op.input.into())?) * window * u64::from(output.c)
        }
        Op::FullyConnected(op) => len(shape(op.input.into())?) * len(output),
        _ => 0,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 4 x 4 x 2 through a convolution and a depthwise one of 3 x 3 to 3 channels, and a fully connected layer of 4.
    #[test]
    fn multiply_accumulates_are_those_of_the_shapes() {
        let model = Model::parse(include_bytes!("../../../runtime/testdata/small.stepshift")).unwrap();
        let macs: Vec<_> = model.nodes().enumerate().map(|(node, n)| macs(&model, node, &n.op).unwrap()).collect();
        assert_eq!(macs, [4 * 4 * 3 * 9 * 2, 4 * 4 * 3 * 9, 0, 0, 0, 0, 3 * 4]);
    }
}
