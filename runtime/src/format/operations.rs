//! How long a run can take.

use super::{AffineSoftmax, Op, Shape};

impl Op<'_> {
    /// Products, comparisons and moves of codes that a node takes, at most; a product with padding counts as well.
    ///
    /// shape   of a tensor that the node reads
    /// output  shape of the tensor that it writes
    pub fn operations(&self, shape: impl Fn(u16) -> Shape, output: Shape) -> u64 {
        let (codes, pixels) = (output.len() as u64, u64::from(output.h) * u64::from(output.w));
        let taps = |taps: usize| codes.saturating_mul(taps as u64 + 1);
        // In the affine scheme, padding is summed too.
        let products = |bytes: usize, bits: u32| {
            let weights = (bytes as u64).saturating_mul(8) / u64::from(bits);
            pixels.saturating_mul(2 * weights).saturating_add(codes)
        };
        match self {
            Op::MaxPool2d(op) => taps(op.window.taps()),
            Op::AveragePool2d(op) => taps(op.window.taps()),
            Op::Mean(op) => shape(op.input).len() as u64 + codes,
            Op::AffineMean(op) => shape(op.input).len() as u64 + codes,
            Op::Argmax(op) => shape(op.input).len() as u64 + codes,
            Op::Softmax(_) => 4 * codes,
            // A reciprocal a pixel, by three steps.
            Op::AffineSoftmax(op) => op.operations_of_a_code() * codes + 16 * pixels,
            Op::UpsampleBilinear(_) => 4 * codes,
            Op::Concat(op) => codes + op.right_shifts.len() as u64,
            // What stays of the output moves up.
            Op::Stream(_) => 2 * codes,
            _ => self.weights().map_or(codes, |weights| products(weights.codes.len(), weights.bits.bits())),
        }
    }
}

impl AffineSoftmax<'_> {
    /// Two exponentials, which have up to 16 products each where they are computed.
    const fn operations_of_a_code(&self) -> u64 {
        if self.scale().is_some() { 4 + 2 * 16 } else { 4 }
    }
}
