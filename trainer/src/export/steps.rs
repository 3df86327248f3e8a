//! What each step of a run must give, from the codes of whole layers.

use stepshift_runtime::format::{Element, Op, Shape};
use stepshift_runtime::{Model, Session, crc32};

/// What one step of a run writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Step {
    /// Index of the node.
    pub node: usize,
    /// Tensor of the network that it writes, or a part of it: 0 is the input, `i + 1` what layer `i` writes.
    pub tensor: usize,
    /// Width of its codes.
    pub element: Element,
    /// Columns of the tensor.
    pub width: u16,
    /// First row and column that are written.
    pub origin: [u16; 2],
    /// Rows, columns and channels that are written.
    pub shape: Shape,
}

/// The steps of a model in their order; its nodes are a network's layers and the ends of a stage of patches.
///
/// shape  of a tensor of the network
#[must_use]
pub fn steps(model: Model<'_>, shape: impl Fn(usize) -> Shape) -> Vec<Step> {
    let tensors = tensors(model);
    let mut steps = Vec::new();
    let mut arena = vec![0; model.arena_bytes()];
    let Ok(mut session) = Session::new(model, &mut arena) else { return steps };
    session.run_observed(|output| {
        let (node, tensor, element) = (output.index, tensors[output.index], output.tensor.element);
        let (width, origin, part) = (shape(tensor).w, output.origin, output.tensor.shape);
        steps.push(Step { node, tensor, element, width, origin, shape: part });
    });
    steps
}

/// The network's tensor that each node of a model writes.
#[must_use]
pub fn tensors(model: Model<'_>) -> Vec<usize> {
    let mut tensors = Vec::new();
    let mut layers = 0;
    for node in model.nodes() {
        // The ends of a stage copy what they read.
        let copied = match node.op {
            Op::PatchInput(op) => Some(op.input),
            Op::PatchOutput(op) => Some(op.input),
            _ => None,
        };
        let written = match copied.map(usize::from) {
            Some(0) => 0,
            Some(input) => tensors[input - 1],
            None => {
                layers += 1;
                layers
            }
        };
        tensors.push(written);
    }
    tensors
}

impl Step {
    /// The codes that this step must write, out of those of every tensor of the network, each `[H, W, C]`.
    pub fn codes<'a>(&self, tensors: &'a [Vec<i16>]) -> impl Iterator<Item = i16> + use<'a> {
        let (whole, c) = (&tensors[self.tensor], usize::from(self.shape.c));
        let ([y, x], row_len) = (self.origin.map(usize::from), usize::from(self.width) * c);
        let len = usize::from(self.shape.w) * c;
        let rows = y..y + usize::from(self.shape.h);
        rows.flat_map(move |y| whole[y * row_len + x * c..][..len].iter().copied())
    }

    /// [`stepshift_runtime::digest`] of these codes.
    #[must_use]
    pub fn digest(&self, tensors: &[Vec<i16>]) -> u32 {
        crc32(&self.codes(tensors).flat_map(|code| code_bytes(self.element, code)).collect::<Vec<u8>>())
    }
}

/// Codes as they lie in an arena.
#[must_use]
pub fn arena_bytes_of(element: Element, codes: &[i16]) -> Vec<u8> {
    codes.iter().flat_map(|code| code_bytes(element, *code)).collect()
}

fn code_bytes(element: Element, code: i16) -> impl Iterator<Item = u8> {
    code.to_le_bytes().into_iter().take(element.bytes())
}
