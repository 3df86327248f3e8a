//! A window's part inside the input.

use crate::format::{Shape, Window};

/// The part of a kernel that lies inside the input, along one axis.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Span {
    /// First kernel index inside.
    pub(super) kernel: usize,
    /// Input index under it.
    pub(super) input: usize,
    /// How many kernel indices are inside.
    pub(super) len: usize,
}

impl Span {
    /// `out_index * stride - pad` is where the kernel begins; the input has `input_len` entries.
    #[inline]
    fn new(out_index: usize, stride: u8, pad: u8, kernel_len: u8, input_len: u16) -> Self {
        let origin = out_index * usize::from(stride);
        let pad = usize::from(pad);
        let kernel = pad.saturating_sub(origin);
        let end = usize::from(kernel_len).min((usize::from(input_len) + pad).saturating_sub(origin));
        Self { kernel, input: (origin + kernel).saturating_sub(pad), len: end.saturating_sub(kernel) }
    }

    /// Rows of `window` over `input` for output row `oy`.
    #[inline]
    pub(super) fn rows(window: &Window, input: Shape, oy: usize) -> Self {
        Self::new(oy, window.stride_h, window.pad_top, window.kernel_h, input.h)
    }

    /// Columns of `window` over `input` for output column `ox`.
    #[inline]
    pub(super) fn columns(window: &Window, input: Shape, ox: usize) -> Self {
        Self::new(ox, window.stride_w, window.pad_left, window.kernel_w, input.w)
    }
}

/// Row and column of every output pixel, row by row.
#[inline]
pub(super) fn positions(output: Shape) -> impl Iterator<Item = (usize, usize)> {
    let w = usize::from(output.w);
    (0..usize::from(output.h)).flat_map(move |oy| (0..w).map(move |ox| (oy, ox)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn span_is_the_set_of_kernel_indices_inside() {
        for kernel in 1..=5_u8 {
            for (pad, stride, input) in
                (0..kernel).flat_map(|p| (1..=3).flat_map(move |s| (1..=9).map(move |n| (p, s, n))))
            {
                for out in 0..12 {
                    let inside =
                        |k: &i32| (0..i32::from(input)).contains(&(out * i32::from(stride) + k - i32::from(pad)));
                    let expected = (0..i32::from(kernel)).filter(inside);
                    let span = Span::new(out as usize, stride, pad, kernel, input);
                    assert_eq!(span.len, expected.clone().count());
                    if let Some(first) = expected.clone().next() {
                        assert_eq!(span.kernel, first as usize);
                        assert_eq!(span.input as i32, out * i32::from(stride) + first - i32::from(pad));
                    }
                }
            }
        }
    }
}
