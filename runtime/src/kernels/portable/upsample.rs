use super::window::positions;
use crate::arithmetic::{requantize, rounding};
use crate::format::{Shape, UpsampleBilinear};
use crate::kernels::{View, ViewMut};

/// Twice the rows and columns, each code four times. Spec 4.18.
///
/// input   `[H, W, C]`          i8
/// output  `[2 * H, 2 * W, C]`  i8
pub fn upsample_nearest(input: View<'_>, output: ViewMut<'_>) {
    let channels = usize::from(output.shape.c).max(1);
    for (pixel, (oy, ox)) in output.codes.chunks_exact_mut(channels).zip(positions(output.shape)) {
        for (code, x) in pixel.iter_mut().zip(input.run(oy / 2, ox / 2, 1)) {
            *code = *x;
        }
    }
}

/// Twice the rows and columns, between the pixels' centres: 3/4 of the nearer, 1/4 of the farther. Spec 4.18.
///
/// input   `[H, W, C]`          i8
/// output  `[2 * H, 2 * W, C]`  i8
pub fn upsample_bilinear(op: &UpsampleBilinear, input: View<'_>, output: ViewMut<'_>) {
    let Shape { h, w, c } = input.shape;
    let channels = usize::from(c).max(1);
    for (pixel, (oy, ox)) in output.codes.chunks_exact_mut(channels).zip(positions(output.shape)) {
        let (near_y, far_y) = neighbours(oy, h);
        let (near_x, far_x) = neighbours(ox, w);
        let corners = [
            input.run(near_y, near_x, 1),
            input.run(near_y, far_x, 1),
            input.run(far_y, near_x, 1),
            input.run(far_y, far_x, 1),
        ];
        for (c, code) in pixel.iter_mut().enumerate() {
            let [nn, nf, fn_, ff] = corners.map(|corner| corner.get(c).map_or(0, |x| i32::from(*x)));
            let acc = 9 * nn + 3 * nf + 3 * fn_ + ff + rounding(op.right_shift);
            *code = requantize(acc, op.right_shift, op.activation.min, op.activation.max);
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
