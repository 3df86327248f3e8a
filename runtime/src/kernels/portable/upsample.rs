use crate::arithmetic::{requantize, rounding};
use crate::format::{Shape, UpsampleBilinear};
use crate::kernels::window::positions;
use crate::kernels::{View, ViewMut};

/// Twice the rows and columns, each code four times. Spec 4.18.
///
/// input   `[H, W, C]`          codes
/// output  `[2 * H, 2 * W, C]`  codes of the input's element and step
pub fn upsample_nearest(input: View<'_>, mut output: ViewMut<'_>) {
    let mut index = 0;
    for (oy, ox) in positions(&output) {
        for c in 0..usize::from(output.shape.c) {
            output.put(index, input.at(oy / 2, ox / 2, c));
            index += 1;
        }
    }
}

/// Twice the rows and columns, between the pixels' centres: 3/4 of the nearer, 1/4 of the farther. Spec 4.18.
///
/// input   `[H, W, C]`          codes
/// output  `[2 * H, 2 * W, C]`  codes
pub fn upsample_bilinear(op: &UpsampleBilinear, input: View<'_>, mut output: ViewMut<'_>) {
    let Shape { h, w, c } = input.shape;
    let mut index = 0;
    for (oy, ox) in positions(&output) {
        let (near_y, far_y) = neighbours(oy, h);
        let (near_x, far_x) = neighbours(ox, w);
        for c in 0..usize::from(c) {
            let nn = input.at(near_y, near_x, c);
            let nf = input.at(near_y, far_x, c);
            let fn_ = input.at(far_y, near_x, c);
            let ff = input.at(far_y, far_x, c);
            let acc = 9 * nn + 3 * nf + 3 * fn_ + ff + rounding(op.right_shift);
            output.put(index, requantize(acc, op.right_shift, op.activation));
            index += 1;
        }
    }
}

/// The nearer and the farther of the two input indices around an output index; the last one again at the edge.
#[inline]
fn neighbours(out_index: usize, len: u16) -> (usize, usize) {
    let near = out_index / 2;
    let far = if out_index % 2 == 1 { near + 1 } else { near.saturating_sub(1) };
    (near, far.min(usize::from(len).saturating_sub(1)))
}
