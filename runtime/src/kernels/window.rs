//! A window's part inside the input.

use crate::format::{Detail, Links, Shape, Window};
use crate::kernels::ViewMut;

/// The part of a kernel that lies inside the input, along one axis.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Span {
    /// First kernel index inside.
    pub(crate) kernel: usize,
    /// Input index under it.
    pub(crate) input: usize,
    /// How many kernel indices are inside.
    pub(crate) len: usize,
    /// From the input index under one kernel index to that under the next.
    pub(crate) step: usize,
}

/// A window along one axis.
#[derive(Debug, Clone, Copy)]
struct Axis {
    kernel: u8,
    stride: u8,
    dilation: u8,
    pad: u8,
}

impl Span {
    /// `out_index * stride - pad` is where the kernel begins; the input has `input_len` entries.
    #[inline]
    fn new<const LINKS: Links>(out_index: usize, axis: Axis, input_len: u16) -> Self {
        let origin = out_index * usize::from(axis.stride);
        let step = if Detail::Dilation.is_in(LINKS) { usize::from(axis.dilation) } else { 1 };
        let pad = usize::from(axis.pad);
        // A division costs more than all the rest where the kernel is dense.
        let steps = |distance: usize| if step == 1 { distance } else { distance.div_ceil(step.max(1)) };
        let kernel = steps(pad.saturating_sub(origin));
        let end = usize::from(axis.kernel).min(steps((usize::from(input_len) + pad).saturating_sub(origin)));
        let input = (origin + kernel * step).saturating_sub(pad);
        Self { kernel, input, len: end.saturating_sub(kernel), step }
    }

    /// True where a kernel index is inside.
    #[inline]
    pub(crate) const fn covers(self, kernel: usize) -> bool {
        kernel >= self.kernel && kernel - self.kernel < self.len
    }

    /// Input entries from the first under the kernel to the last.
    #[inline]
    pub(crate) fn spanned(self) -> usize {
        self.len.saturating_sub(1) * self.step + usize::from(self.len > 0)
    }

    /// Rows of `window` over `input` for output row `oy`.
    #[inline]
    pub(crate) fn rows<const LINKS: Links>(window: &Window, input: Shape, oy: usize) -> Self {
        let Window { kernel_h: kernel, stride_h: stride, dilation_h: dilation, pad_top: pad, .. } = *window;
        Self::new::<LINKS>(oy, Axis { kernel, stride, dilation, pad }, input.h)
    }

    /// Columns of `window` over `input` for output column `ox`.
    #[inline]
    pub(crate) fn columns<const LINKS: Links>(window: &Window, input: Shape, ox: usize) -> Self {
        let Window { kernel_w: kernel, stride_w: stride, dilation_w: dilation, pad_left: pad, .. } = *window;
        Self::new::<LINKS>(ox, Axis { kernel, stride, dilation, pad }, input.w)
    }
}

/// True where all of a kernel lies inside the input.
#[inline]
pub(crate) fn is_whole(window: &Window, rows: Span, columns: Span) -> bool {
    (rows.len, columns.len) == (window.kernel_h.into(), window.kernel_w.into())
}

/// Row and column of every pixel to write, row by row.
#[inline]
pub(crate) fn positions(output: &ViewMut<'_>) -> impl Iterator<Item = (usize, usize)> + use<> {
    let (first, w) = (usize::from(output.first_row), usize::from(output.shape.w));
    let rows = output.len().checked_div(w * usize::from(output.shape.c)).unwrap_or(0);
    (first..first + rows).flat_map(move |oy| (0..w).map(move |ox| (oy, ox)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::format::ALL_LINKS;

    #[test]
    fn span_is_the_set_of_kernel_indices_inside() {
        for (kernel, dilation) in (1..=5_u8).flat_map(|kernel| (1..=3).map(move |dilation| (kernel, dilation))) {
            let spanned = (kernel - 1) * dilation + 1;
            for (pad, stride, input) in
                (0..spanned).flat_map(|p| (1..=3).flat_map(move |s| (1..=9).map(move |n| (p, s, n))))
            {
                for out in 0..12 {
                    let place = |k: &i32| out * i32::from(stride) + k * i32::from(dilation) - i32::from(pad);
                    let inside = |k: &i32| (0..i32::from(input)).contains(&place(k));
                    let expected = (0..i32::from(kernel)).filter(inside);
                    let span = Span::new::<ALL_LINKS>(out as usize, Axis { kernel, stride, dilation, pad }, input);
                    assert_eq!(span.len, expected.clone().count());
                    if let Some(first) = expected.clone().next() {
                        assert_eq!(span.kernel, first as usize);
                        assert_eq!(span.input as i32, place(&first));
                    }
                }
            }
        }
    }
}
