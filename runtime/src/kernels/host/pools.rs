//! Pools and means: channels side by side.

use super::elementwise::put;
use super::image::Image;
use super::vectors::{Vectors, Work};
use crate::arithmetic::{mean, saturate};
use crate::format::{Activation, AveragePool2d, Mean, Shape, Window};
use crate::kernels::ViewMut;
use crate::kernels::window::Span;

/// What is made of the codes under a window.
#[derive(Debug, Clone, Copy)]
pub(super) enum Pool<'a> {
    /// Spec 4.4.
    Max(Activation),
    /// Of steps that are powers of two. Spec 4.5.
    Average(&'a AveragePool2d<'a>),
    /// Over rows and columns. Spec 4.5.
    Mean(&'a Mean),
}

/// A run of a layer.
pub(super) struct Run<'a> {
    pub(super) pool: Pool<'a>,
    pub(super) window: Window,
    /// The input, without a frame.
    pub(super) image: &'a Image<i16>,
    pub(super) shape: Shape,
    pub(super) output: ViewMut<'a>,
}

impl Work for Run<'_> {
    #[inline(always)]
    fn run<V: Vectors<L>, const L: usize>(self, _: V) {
        let channels = usize::from(self.shape.c).max(1);
        let element_bytes = self.output.element.bytes();
        let w = usize::from(self.output.shape.w).max(1);
        for (index, pixel) in self.output.bytes.chunks_exact_mut(channels * element_bytes).enumerate() {
            let rows = Span::rows(&self.window, self.shape, index / w);
            let columns = Span::columns(&self.window, self.shape, index % w);
            for channel in (0..channels).step_by(L) {
                let start = if matches!(self.pool, Pool::Max(_)) { i32::MIN } else { 0 };
                let mut sums = [start; L];
                for row in rows.input..rows.input + rows.len {
                    for column in columns.input..columns.input + columns.len {
                        let place = self.image.place(row, column) + channel;
                        let codes = self.image.codes().get(place..).and_then(|codes| codes.first_chunk::<L>());
                        for (sum, code) in sums.iter_mut().zip(codes.into_iter().flatten()) {
                            let code = i32::from(*code);
                            *sum = if matches!(self.pool, Pool::Max(_)) { code.max(*sum) } else { *sum + code };
                        }
                    }
                }
                let codes = self.pool.end(sums, rows.len * columns.len);
                put(codes, element_bytes, pixel.get_mut(channel * element_bytes..).unwrap_or_default());
            }
        }
    }
}

impl Pool<'_> {
    fn end<const L: usize>(&self, sums: [i32; L], count: usize) -> [i32; L] {
        match self {
            Self::Max(activation) => sums.map(|sum| saturate(sum, *activation)),
            Self::Average(op) => {
                let multiplier = op.multiplier(count).unwrap_or(0);
                sums.map(|sum| mean(sum, multiplier, op.right_shift, op.activation))
            }
            Self::Mean(op) => sums.map(|sum| mean(sum, op.multiplier, op.right_shift, op.activation)),
        }
    }
}
