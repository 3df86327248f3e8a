//! Dispatch: which backend computes which operator.
//!
//! [`portable`] is normative: plain loops, the spec in Rust. Every kernel is total: operands that
//! contradict each other leave outputs unwritten and never panic.

use crate::format::Shape;

pub mod portable;

pub use portable::{
    average_pool2d, binary, clip, concat_part, conv2d, depthwise_conv2d, fully_connected, global_average_pool,
    leaky_relu, max_pool2d, pad, rescale, slice, softmax, table, transpose, transpose_conv2d, upsample_bilinear,
    upsample_nearest,
};

/// A tensor that a kernel reads.
#[derive(Debug, Clone, Copy)]
pub struct View<'a> {
    /// Extent.
    pub shape: Shape,
    /// `[H, W, C]`.
    pub codes: &'a [i8],
}

/// A tensor that a kernel writes.
#[derive(Debug)]
pub struct ViewMut<'a> {
    /// Extent.
    pub shape: Shape,
    /// `[H, W, C]`.
    pub codes: &'a mut [i8],
}

impl<'a> View<'a> {
    /// A view of bytes of the arena.
    pub(crate) fn new(shape: Shape, bytes: &'a [u8]) -> Self {
        Self { shape, codes: bytemuck::must_cast_slice(bytes) }
    }

    /// `len` columns of row `y` from column `x` on, all channels.
    #[inline]
    pub(crate) fn run(&self, y: usize, x: usize, len: usize) -> &'a [i8] {
        let c = usize::from(self.shape.c);
        let start = (y * usize::from(self.shape.w) + x) * c;
        self.codes.get(start..).and_then(|codes| codes.get(..len * c)).unwrap_or_default()
    }
}

impl<'a> ViewMut<'a> {
    /// A view of bytes of the arena.
    pub(crate) fn new(shape: Shape, bytes: &'a mut [u8]) -> Self {
        Self { shape, codes: bytemuck::must_cast_slice_mut(bytes) }
    }
}
