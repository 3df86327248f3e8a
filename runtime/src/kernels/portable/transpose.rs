use crate::format::Transpose;
use crate::kernels::{View, ViewMut};

/// Axes in another order: `output[i0][i1][i2]` is the input at the index whose axis `order[k]` is `ik`. Spec 4.17.
///
/// input   `[H, W, C]`              codes
/// output  `[H_OUT, W_OUT, C_OUT]`  codes of the input's element and step
pub fn transpose(op: &Transpose, input: View<'_>, mut output: ViewMut<'_>) {
    let (w, c) = (usize::from(input.shape.w), usize::from(input.shape.c));
    let stride = |axis: u8| match axis {
        0 => w * c,
        1 => c,
        _ => 1,
    };
    let [s0, s1, s2] = op.order.map(stride);
    let (h_out, w_out, c_out) = (output.shape.h, output.shape.w, output.shape.c);
    let places = (0..usize::from(h_out))
        .flat_map(|y| (0..usize::from(w_out)).map(move |x| y * s0 + x * s1))
        .flat_map(|start| (0..usize::from(c_out)).map(move |c| start + c * s2));
    for (index, place) in places.enumerate() {
        output.put(index, input.code(place));
    }
}
