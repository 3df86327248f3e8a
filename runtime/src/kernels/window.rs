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
        if !Detail::Edge.is_in(LINKS) {
            return Self { kernel: 0, input: origin, len: axis.kernel.into(), step };
        }
        let start = (origin as i32).wrapping_sub(axis.pad.into());
        // A division costs more than all the rest where the kernel is dense.
        let steps = |distance: i32| {
            if step == 1 { distance } else { distance.cast_unsigned().div_ceil(step.max(1) as u32).cast_signed() }
        };
        let kernel = steps(start.wrapping_neg().max(0));
        let end = steps(i32::from(input_len).wrapping_sub(start).max(0)).min(axis.kernel.into());
        let input = start.wrapping_add(kernel.wrapping_mul(step as i32));
        Self { kernel: kernel as usize, input: input as usize, len: end.wrapping_sub(kernel).max(0) as usize, step }
    }

    /// True where a kernel index is inside.
    #[inline]
    pub(crate) const fn covers(self, kernel: usize) -> bool {
        kernel >= self.kernel && kernel - self.kernel < self.len
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

/// Row and column of every pixel to write, row by row.
#[inline]
pub(crate) fn positions(output: &ViewMut<'_>) -> impl Iterator<Item = (usize, usize)> + use<> {
    let w = usize::from(output.shape.w);
    let pixels = output.len().checked_div(usize::from(output.shape.c)).unwrap_or(0);
    let (mut oy, mut ox) = (output.first_row, 0);
    (0..pixels).map(move |_| {
        let position = (oy, ox);
        ox += 1;
        if ox == w {
            (oy, ox) = (oy + 1, 0);
        }
        position
    })
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
