use super::channels::channel_by_channel;
use super::dispatch::by_element;
use super::{dot, from_zero};
use crate::format::{Conv2d, Detail, Element, Links};
use crate::kernels::window::Span;
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
    let zero = if Detail::Padding.is_in(LINKS) { op.weights.epilogue.linked_zero::<LINKS>() } else { 0 };
    // Where neighbours lie side by side, a row of the kernel is one run.
    let side_by_side = groups == 1 && (!Detail::Dilation.is_in(LINKS) || op.window.is_dense());
    let column_step = usize::from(op.window.dilation_w) * usize::from(input.shape.c);
    let row_step = usize::from(op.window.dilation_h) * input.row_len();
    channel_by_channel::<LINKS, _>(&op.weights, op.activation, output, |oc, bias| {
        let filter = w.from(oc * filter_len);
        let first_channel = if groups == 1 { 0 } else { oc / group_len * in_ch };
        let first = from_zero(bias, zero, filter.run(filter_len).into_iter().flatten());
        move |oy, ox| {
            let rows = Span::rows::<LINKS>(&op.window, input.shape, oy);
            let columns = Span::columns::<LINKS>(&op.window, input.shape, ox);
            let (runs, run_len) = if side_by_side { (1, columns.len * in_ch) } else { (columns.len, in_ch) };
            let mut acc = first;
            let mut x = input.codes.get(input.place(rows.input, columns.input) + first_channel..);
            let mut taps = filter.from(rows.kernel * filter_row_len + columns.kernel * in_ch);
            for _ in 0..rows.len {
                for run in 0..runs {
                    let x = x.and_then(|x| x.get(run * column_step..)?.get(..run_len));
                    acc = acc.wrapping_add(dot::<LINKS, _>(x, zero, taps.from(run * in_ch)));
                }
                x = x.and_then(|x| x.get(row_step..));
                taps = taps.from(filter_row_len);
            }
            acc
        }
    });
}
