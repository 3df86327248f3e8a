//! What padding contributes where its code is not 0: in the affine scheme.

use crate::format::{AFFINE_LINK, Links, Window};
use crate::kernels::WeightCodes;

/// Where the weights of one output channel lie.
#[derive(Debug, Clone, Copy)]
pub(in crate::kernels) struct Filter {
    /// Index of the first weight.
    pub(in crate::kernels) start: usize,
    /// From a kernel entry to the next.
    pub(in crate::kernels) tap_len: usize,
    /// Weights of a kernel entry.
    pub(in crate::kernels) channels: usize,
}

/// `zero * sum(w)` over the kernel entries that meet no input. Spec 3.4.
#[inline]
pub(in crate::kernels) fn padding<const LINKS: Links, W: WeightCodes>(
    zero: i16,
    window: &Window,
    w: W,
    filter: Filter,
    meets_input: impl Fn(usize, usize) -> bool,
) -> i32 {
    if LINKS & AFFINE_LINK == 0 || zero == 0 {
        return 0;
    }
    let mut sum = 0;
    for ky in 0..usize::from(window.kernel_h) {
        for kx in 0..usize::from(window.kernel_w) {
            if !meets_input(ky, kx) {
                let tap = ky * usize::from(window.kernel_w) + kx;
                sum += w.from(filter.start + tap * filter.tap_len).run(filter.channels).map_or(0, Iterator::sum::<i32>);
            }
        }
    }
    sum * i32::from(zero)
}
