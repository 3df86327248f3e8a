//! A network that was trained on windows of a sequence, as a model that takes one row of it a run.
//!
//! What a layer reads of earlier rows is kept: a convolution along the rows has a [`FixedPointOp::Stream`] of as many rows as
//! its kernel spans before it, a recurrent layer is its first step with states, and a layer that needs the whole window has
//! a stream of it. After as many runs as the window has rows, from the first on, every layer's codes are those of the window:
//! what is padded above the first row are the zeros that a stream begins with.

use stepshift_runtime::format::{Shape, Window};

use super::{ExportError, FixedPointLayer, FixedPointNetwork, FixedPointOp, FixedPointTensor};
use crate::recurrent::Cell;

/// What stands for a tensor of the window.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Streamed {
    /// Tensor of the streaming network.
    tensor: usize,
    /// Its newest row alone; otherwise all of it.
    row: bool,
    /// Runs before the first row of the window is there.
    delay: usize,
}

/// The network with one row of its input a run.
///
/// cells  the recurrent layers of `window`
///
/// # Errors
/// [`ExportError::Inconsistent`] for a recurrent layer that does not read the window row by row from its first row on.
pub fn streaming(window: &FixedPointNetwork, cells: &[Cell]) -> Result<FixedPointNetwork, ExportError> {
    let shape = Shape { h: 1, ..window.input.shape };
    let network = FixedPointNetwork { input: FixedPointTensor { shape, ..window.input }, layers: Vec::new() };
    let input = Streamed { tensor: 0, row: true, delay: 0 };
    let mut builder = Builder { window, network, tensors: vec![Some(input)] };
    let mut index = 0;
    while index < window.layers.len() {
        match cells.iter().find(|cell| cell.first == index) {
            Some(cell) => {
                builder.cell(cell)?;
                index = cell.end();
            }
            None => {
                builder.layer(index);
                index += 1;
            }
        }
    }
    builder.end();
    Ok(builder.network)
}

struct Builder<'a> {
    window: &'a FixedPointNetwork,
    network: FixedPointNetwork,
    /// For each tensor of the window; `None` within recurrent layers.
    tensors: Vec<Option<Streamed>>,
}

impl Builder<'_> {
    /// Appends a layer; returns its tensor.
    fn push(&mut self, layer: FixedPointLayer) -> usize {
        self.network.layers.push(layer);
        self.network.layers.len()
    }

    fn streamed(&self, tensor: usize) -> Streamed {
        self.tensors[tensor].unwrap_or(Streamed { tensor: 0, row: false, delay: 0 })
    }

    fn layer(&mut self, index: usize) {
        let layer = &self.window.layers[index];
        let inputs: Vec<Streamed> = layer.inputs.iter().map(|input| self.streamed(*input)).collect();
        let by_rows = inputs.iter().all(|input| input.row && input.delay == inputs[0].delay);
        let streamed = match reach(&layer.op) {
            Some(reach) if by_rows && !inputs.is_empty() => self.row_by_row(layer, &inputs, reach),
            _ => self.whole(layer),
        };
        self.tensors.push(Some(streamed));
    }

    /// A layer of which one row follows from the newest rows of its inputs.
    fn row_by_row(&mut self, layer: &FixedPointLayer, inputs: &[Streamed], reach: Reach) -> Streamed {
        let mut tensors: Vec<usize> = inputs.iter().map(|input| input.tensor).collect();
        if reach.rows > 1 {
            tensors[0] = self.stream(&layer.name, tensors[0], reach.rows);
        }
        let output = FixedPointTensor { shape: Shape { h: 1, ..layer.output.shape }, ..layer.output };
        let op = without_row_padding(&layer.op);
        let tensor = self.push(FixedPointLayer { inputs: tensors, output, op, ..layer.clone() });
        Streamed { tensor, row: true, delay: inputs[0].delay + usize::from(reach.rows - 1 - reach.padding) }
    }

    /// A layer over whole windows of its inputs.
    fn whole(&mut self, layer: &FixedPointLayer) -> Streamed {
        let inputs = layer.inputs.iter().map(|input| {
            let streamed = self.streamed(*input);
            if !streamed.row {
                return streamed.tensor;
            }
            let rows = self.window.tensor(*input).shape.h;
            let tensor = if rows > 1 { self.stream(&layer.name, streamed.tensor, rows) } else { streamed.tensor };
            self.tensors[*input] = Some(Streamed { tensor, row: false, ..streamed });
            tensor
        });
        let inputs = inputs.collect();
        let tensor = self.push(FixedPointLayer { inputs, ..layer.clone() });
        Streamed { tensor, row: false, delay: 0 }
    }

    /// The newest rows of a tensor of one row.
    fn stream(&mut self, reader: &str, tensor: usize, rows: u16) -> usize {
        let input = self.network.tensor(tensor);
        let output = FixedPointTensor { shape: Shape { h: rows, ..input.shape }, ..input };
        let name = format!("{reader}.rows");
        let taken = self.network.layers.iter().any(|layer| layer.name == name);
        let name = if taken { format!("{name}.{tensor}") } else { name };
        let activation = stepshift_runtime::format::Activation::full(input.element);
        self.push(FixedPointLayer { name, inputs: vec![tensor], output, activation, op: FixedPointOp::Stream })
    }

    /// A recurrent layer: its first step, whose states are stored at the end.
    fn cell(&mut self, cell: &Cell) -> Result<(), ExportError> {
        let sums = &self.window.layers[cell.first];
        let input = self.streamed(sums.inputs[0]);
        let refuse = |what: &str| Err(ExportError::Inconsistent { layer: cell.name.clone(), what: what.to_owned() });
        if !input.row {
            return refuse("a layer before it needs the whole window, so that it cannot run row by row");
        }
        if input.delay > 0 {
            return refuse(
                "a convolution before it has less padding above than its kernel spans without its last row: \
                 its states would begin with rows that the window does not have",
            );
        }
        let offset = |tensor: usize| tensor - (cell.first + 1);
        // New tensors of the cell's, from the sums on.
        let mut new = Vec::new();
        for index in cell.first..cell.step(1) {
            let layer = &self.window.layers[index];
            let name = layer.name.replacen(&format!("{}.0.", cell.name), &format!("{}.", cell.name), 1);
            let from = |tensor: &usize| if *tensor > cell.first { new[offset(*tensor)] } else { input.tensor };
            let inputs: Vec<usize> = layer.inputs.iter().map(from).collect();
            let mut output = layer.output;
            output.shape.h = 1;
            new.push(self.push(FixedPointLayer { name, inputs, output, ..layer.clone() }));
        }
        for (state, last) in &cell.states {
            let first_step = last - (cell.steps - 1) * cell.period;
            let (state, stored) = (new[offset(*state)], new[offset(first_step)]);
            let layer = self.network.layers[stored - 1].clone();
            let name = format!("{}.store", self.network.layers[state - 1].name);
            self.push(FixedPointLayer { name, inputs: vec![stored, state], op: FixedPointOp::Store, ..layer });
        }
        // Nothing outside reads the cell but for its last output, or the rows of all outputs, which its last layer writes.
        self.tensors.resize(cell.end(), None);
        let tensor = new[cell.step(1) - cell.first - 1];
        let row = cell.joins > 0 || cell.steps == 1;
        self.tensors.push(Some(Streamed { tensor, row, delay: 0 }));
        Ok(())
    }

    /// The last tensor is the output.
    fn end(&mut self) {
        let last = self.window.layers.len();
        let output = self.streamed(last);
        let layer = &self.window.layers[last - 1];
        if output.tensor != self.network.layers.len() {
            let tensor = self.network.tensor(output.tensor);
            let (name, op) = ("output".to_owned(), FixedPointOp::Reshape);
            self.push(FixedPointLayer { name, inputs: vec![output.tensor], output: tensor, op, ..layer.clone() });
        }
    }
}

/// How many rows of its input a row of a layer's output is of, and how many of them are padding in the first row.
#[derive(Debug, Clone, Copy)]
struct Reach {
    rows: u16,
    padding: u16,
}

/// `None` for a layer that needs more than the newest rows.
fn reach(op: &FixedPointOp) -> Option<Reach> {
    let of_window = |window: &Window| {
        let rows = u16::from(window.kernel_h - 1) * u16::from(window.dilation_h) + 1;
        let padding = u16::from(window.pad_top);
        // What is padded below would be rows to come; what is padded above has to be all that there is before.
        let follows = window.stride_h == 1 && window.pad_bottom == 0 && (padding == 0 || padding == rows - 1);
        follows.then_some(Reach { rows, padding })
    };
    match op {
        FixedPointOp::Conv2d { window, .. } | FixedPointOp::DepthwiseConv2d { window, .. } => of_window(window),
        FixedPointOp::MaxPool2d { window }
        | FixedPointOp::AveragePool2d { window }
        | FixedPointOp::AffineAveragePool2d { window } => of_window(window).filter(|reach| reach.padding == 0),
        FixedPointOp::Clip
        | FixedPointOp::Rescale
        | FixedPointOp::LeakyRelu { .. }
        | FixedPointOp::Table { .. }
        | FixedPointOp::Softmax
        | FixedPointOp::Binary(_)
        | FixedPointOp::AffineBinary(_) => Some(Reach { rows: 1, padding: 0 }),
        _ => None,
    }
}

fn without_row_padding(op: &FixedPointOp) -> FixedPointOp {
    let mut op = op.clone();
    if let FixedPointOp::Conv2d { window, .. } | FixedPointOp::DepthwiseConv2d { window, .. } = &mut op {
        window.pad_top = 0;
    }
    op
}
