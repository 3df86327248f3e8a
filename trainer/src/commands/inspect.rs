//! `stepshift inspect`.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, Result};
use stepshift_runtime::Model;
use stepshift_runtime::format::{Epilogue, FORMAT_VERSION, Mean, Op};

use super::layer_table::Table;

#[derive(Debug, clap::Args)]
pub(crate) struct Inspect {
    /// A model file
    model: PathBuf,
}

impl Inspect {
    pub(crate) fn run(&self) -> Result<ExitCode> {
        let path = self.model.display();
        let bytes = std::fs::read(&self.model).with_context(|| format!("cannot read {path}"))?;
        let model = Model::parse(&bytes).with_context(|| path.to_string())?;
        let input = model.input();
        println!(
            "{path}: format {FORMAT_VERSION}, checksum {:#010x}, flash {} bytes, arena {} bytes",
            model.crc(),
            bytes.len(),
            model.arena_bytes()
        );
        println!(
            "input {}x{}x{} {:?}, exponent {}",
            input.shape.h, input.shape.w, input.shape.c, input.element, input.exponent
        );
        println!("self-test: {}\n", if model.certificate().is_some() { "yes" } else { "no" });
        let mut table = Table::new(["node", "operator", "reads", "output", "exponent", "offset", "weights"]);
        for (index, node) in model.nodes().enumerate() {
            let output = model.tensor(index + 1).context("the model was checked")?;
            let (operator, reads, weights) = describe(&node.op);
            let name = |tensor: u16| {
                let before = usize::from(tensor).checked_sub(1);
                before.and_then(|node| model.nodes().nth(node)).map_or("input", |node| node.name.as_str())
            };
            table.row([
                node.name.to_string(),
                operator,
                reads.iter().map(|tensor| name(*tensor)).collect::<Vec<_>>().join(", "),
                format!("{}x{}x{} {:?}", output.shape.h, output.shape.w, output.shape.c, output.element),
                output.exponent.to_string(),
                output.offset.to_string(),
                weights.to_string(),
            ]);
        }
        table.print();
        Ok(ExitCode::SUCCESS)
    }
}

/// Operator, tensors read, bytes of weights, biases and shifts.
fn describe(op: &Op<'_>) -> (String, Vec<u16>, usize) {
    let bytes = |weights: &stepshift_runtime::format::Weights<'_>| {
        let epilogue = match weights.epilogue {
            Epilogue::Shift(shifts) => shifts.len(),
            Epilogue::Multiply(multiply) => multiply.multipliers.len() + multiply.shifts.len(),
        };
        weights.codes.len() + weights.bias.len() + epilogue
    };
    let kernel = |window: &stepshift_runtime::format::Window| format!("{}x{}", window.kernel_h, window.kernel_w);
    let one = |name: &str, input: u16| (name.to_owned(), vec![input], 0);
    match op {
        Op::Conv2d(op) => (format!("conv2d {}", kernel(&op.window)), vec![op.input], bytes(&op.weights)),
        Op::DepthwiseConv2d(op) => {
            (format!("depthwise_conv2d {}", kernel(&op.window)), vec![op.input], bytes(&op.weights))
        }
        Op::TransposeConv2d(op) => {
            (format!("transpose_conv2d {}", kernel(&op.window)), vec![op.input], bytes(&op.weights))
        }
        Op::FullyConnected(op) => ("fully_connected".to_owned(), vec![op.input], bytes(&op.weights)),
        Op::MaxPool2d(op) => (format!("max_pool2d {}", kernel(&op.window)), vec![op.input], 0),
        Op::AveragePool2d(op) => {
            (format!("average_pool2d {}", kernel(&op.window)), vec![op.input], op.multipliers.len())
        }
        Op::Mean(op) if op.axes == Mean::GLOBAL => one("global_average_pool", op.input),
        Op::Mean(op) => one("mean", op.input),
        Op::Binary(op) => (format!("{:?}", op.kind).to_lowercase(), vec![op.a, op.b], 0),
        Op::Clip(op) => one("clip", op.input),
        Op::Rescale(op) => one("requantize", op.input),
        Op::LeakyRelu(op) => ("leaky_relu".to_owned(), vec![op.input], op.slopes.len()),
        Op::Table(op) => ("table".to_owned(), vec![op.input], op.codes.len()),
        Op::Softmax(op) => ("softmax".to_owned(), vec![op.input], op.exponentials.len()),
        Op::Concat(op) => ("concat".to_owned(), op.operands().map(|(input, _)| input).collect(), 0),
        Op::Slice(op) => one("slice", op.input),
        Op::Pad(op) => one("pad", op.input),
        Op::Reshape(op) => one("reshape", op.input),
        Op::Transpose(op) => one("transpose", op.input),
        Op::UpsampleNearest(op) => one("upsample_nearest", op.input),
        Op::UpsampleBilinear(op) => one("upsample_bilinear", op.input),
        Op::Argmax(op) => one("argmax", op.input),
        Op::AffineBinary(op) => (format!("affine {:?}", op.kind).to_lowercase(), vec![op.input_a, op.input_b], 0),
        Op::AffineMean(op) => one("affine mean", op.input),
        Op::AffineSoftmax(op) => ("affine softmax".to_owned(), vec![op.input], op.exponentials.len()),
        Op::State(_) => ("state".to_owned(), Vec::new(), 0),
        Op::Store(op) => ("store".to_owned(), vec![op.input, op.state], 0),
        Op::Stream(op) => one("stream", op.input),
        Op::PatchInput(op) => one(&format!("patches of {}x{}", op.rows, op.columns), op.input),
        Op::PatchOutput(op) => one("patch_output", op.input),
    }
}
