use super::dispatch::by_element;
use super::dot;
use super::padding::{Filter, padding};
use crate::format::{Conv2d, Detail, Element, Links};
use crate::kernels::window::{Span, is_whole, positions};
use crate::kernels::{Code, Typed, View, ViewMut, WeightCodes, by_width};

/// 2-D convolution. Spec 4.1.
///
/// input    `[H, W, C_IN]`                      codes at the input's step
/// weights  `[C_OUT, K_H, K_W, C_IN / groups]`  2, 4, 8 or 16 bits
/// bias     `[C_OUT]`                           i32 at the step of input times weight, rounding constant included
/// output   `[H_OUT, W_OUT, C_OUT]`             codes at the output's step
pub fn conv2d<const LINKS: Links>(op: &Conv2d<'_>, input: View<'_>, mut output: ViewMut<'_>) {
    let output = &mut output;
    // `Model::parse_linked` has refused other widths.
    by_element!(LINKS, input, |x| by_width!(LINKS, op.weights, |w| typed::<LINKS, _, _>(op, x, w, output), else ()));
}

fn typed<const LINKS: Links, X: Code, W: WeightCodes>(
    op: &Conv2d<'_>,
    input: Typed<'_, X>,
    w: W,
    output: &mut ViewMut<'_>,
) {
    let groups = if Detail::Groups.is_in(LINKS) { usize::from(op.groups).max(1) } else { 1 };
    let in_ch = usize::from(input.shape.c) / groups;
    let filter_row_len = usize::from(op.window.kernel_w) * in_ch;
    let filter_len = usize::from(op.window.kernel_h) * filter_row_len;
    let group_len = (usize::from(output.shape.c) / groups).max(1);
    let zero = op.weights.epilogue.input_zero();
    // Where neighbours lie side by side, a row of the kernel is one run.
    let side_by_side = groups == 1 && (!Detail::Dilation.is_in(LINKS) || op.window.is_dense());
    let column_step = usize::from(op.window.dilation_w) * usize::from(input.shape.c);
    let row_step = usize::from(op.window.dilation_h) * input.row_len();
    let mut index = 0;
    for (oy, ox) in positions(output) {
        let rows = Span::rows::<LINKS>(&op.window, input.shape, oy);
        let columns = Span::columns::<LINKS>(&op.window, input.shape, ox);
        let is_padded = Detail::Padding.is_in(LINKS) && !is_whole(&op.window, rows, columns);
        let (runs, run_len) = if side_by_side { (1, columns.len * in_ch) } else { (columns.len, in_ch) };
        let first_pixel = input.place(rows.input, columns.input);
        let first_tap = rows.kernel * filter_row_len + columns.kernel * in_ch;
        for (oc, bias) in op.weights.biases().enumerate() {
            let mut acc = bias;
            let mut x = first_pixel + if groups == 1 { 0 } else { oc / group_len * in_ch };
            let mut tap = oc * filter_len + first_tap;
            for _ in 0..rows.len {
                for run in 0..runs {
                    acc += dot(input.from(x + run * column_step, run_len), w, tap + run * in_ch);
                }
                x += row_step;
                tap += filter_row_len;
            }
            if is_padded {
                let filter = Filter { start: oc * filter_len, tap_len: in_ch, channels: in_ch };
                let meets_input = |ky, kx| rows.covers(ky) && columns.covers(kx);
                acc += padding::<LINKS, _>(zero, &op.window, w, filter, meets_input);
            }
            output.linked_put::<LINKS>(index, op.weights.epilogue.code::<LINKS>(oc, acc, op.activation));
            index += 1;
        }
    }
}
