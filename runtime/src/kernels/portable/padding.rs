//! What padding contributes where its code is not 0: in the affine scheme.

use crate::format::{AFFINE_LINK, Window};
use crate::kernels::WeightCodes;

/// Where the weights of one output channel lie.
#[derive(Debug, Clone, Copy)]
pub(super) struct Filter {
    /// Index of the first weight.
    pub(super) start: usize,
    /// From a kernel entry to the next.
    pub(super) tap_len: usize,
    /// Weights of a kernel entry.
    pub(super) channels: usize,
}

/// `zero * sum(w)` over the kernel entries that meet no input. Spec 3.4.
#[inline]
pub(super) fn padding<const LINKS: u64, W: WeightCodes>(
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
                sum += w.run(filter.start + tap * filter.tap_len).take(filter.channels).sum::<i32>();
            }
        }
    }
    sum * i32::from(zero)
}
