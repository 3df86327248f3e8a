use super::dispatch::by_element;
use crate::arithmetic;
use crate::format::{Element, Links, Mean, Shape};
use crate::kernels::window::positions;
use crate::kernels::{Code, Typed, View, ViewMut};

/// Mean over rows, columns, channels or several of them, by a reciprocal: `(sum * m + half) >> n`. Spec 4.5.
///
/// input    `[H, W, C]`              codes
/// output   `[H_OUT, W_OUT, C_OUT]`  codes; 1 along the axes of the mean
pub fn mean<const LINKS: Links>(op: &Mean, input: View<'_>, mut output: ViewMut<'_>) {
    let (output, averaged) = (&mut output, input.shape.along(op.axes));
    let end = |sum| arithmetic::mean(sum, op.multiplier, op.right_shift, op.activation);
    by_element!(LINKS, input, |x| sums(averaged, x, output, end));
}

/// What `end` makes of every sum over an extent.
pub(super) fn sums<X: Code>(
    Shape { h, w, c }: Shape,
    input: Typed<'_, X>,
    output: &mut ViewMut<'_>,
    end: impl Fn(i32) -> i32,
) {
    let (h, w, c) = (usize::from(h), usize::from(w), usize::from(c));
    let (in_w, in_ch) = (usize::from(input.shape.w), usize::from(input.shape.c));
    let out_ch = usize::from(output.shape.c);
    let mut index = 0;
    for (oy, ox) in positions(output) {
        for oc in 0..out_ch {
            let mut sum = 0;
            for y in oy..oy + h {
                for x in ox..ox + w {
                    let start = (y * in_w + x) * in_ch + oc;
                    let codes = input.codes.get(start..).and_then(|codes| codes.get(..c)).unwrap_or_default();
                    sum += codes.iter().map(|x| x.get()).sum::<i32>();
                }
            }
            output.put(index, end(sum));
            index += 1;
        }
    }
}
