//! When a depthwise layer on Helium takes less time by strips than by lanes.

use stepshift_runtime::format::{Shape, VECTOR, Window};

/// Estimates both; strips may also win memory, as their output lies in the input's place where it has its shape.
///
/// The numbers are instructions of the kernels of `mve`, fitted to 150 layers of 3 to 24 rows and columns, 8 to 128 channels, kernels of
/// 2 to 4 rows and columns, strides of 1 to 3: strips to within 5 % (standard deviation), lanes 15 %. The slower way was taken for 11
/// of them, for 12 % more instructions there.
pub(super) fn strips_win(window: &Window, input: Shape, output: Shape) -> bool {
    by_strips(window, input, output) < by_lanes(window, input, output)
}

/// Four rows of every column are loaded for 16 channels at a time; a product of a channel is three pixels.
fn by_strips(window: &Window, input: Shape, output: Shape) -> usize {
    let [rows, columns, channels] = [output.h, output.w, output.c].map(usize::from);
    let [stride_h, stride_w, kernel_h, pad_top, pad_left] =
        [window.stride_h, window.stride_w, window.kernel_h, window.pad_top, window.pad_left].map(usize::from);
    let passes = if (stride_h, stride_w) == (1, 1) && kernel_h < 4 { rows.div_ceil(2) } else { rows };
    let loaded_rows = (rows.saturating_sub(1) * stride_h + kernel_h).saturating_sub(pad_top);
    let loaded_columns = (columns.saturating_sub(1) * stride_w + 4).saturating_sub(pad_left).min(input.w.into());
    let vectors = channels.div_ceil(VECTOR);
    710 + vectors * (980 + 22 * loaded_rows * loaded_columns + 120 * passes)
        + 15 * channels * (passes + rows * columns.div_ceil(3))
}

/// Pixels whose windows lie inside one behind the other are a run; those at an edge are runs of their own.
fn by_lanes(window: &Window, input: Shape, output: Shape) -> usize {
    let [rows, columns, channels] = [output.h, output.w, output.c].map(usize::from);
    let [stride, kernel, pad] = [window.stride_w, window.kernel_w, window.pad_left].map(usize::from);
    let is_inside = |ox: &usize| ox * stride >= pad && ox * stride + kernel <= usize::from(input.w) + pad;
    let inside = (0..columns).filter(is_inside).count();
    let runs = columns - inside + inside.min(1);
    let vectors = channels.div_ceil(VECTOR);
    2300 + 360 * rows * runs + rows * columns * vectors * (24 + 16 * window.taps())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Rows, columns and channels of the input, stride, and which way was counted to take less.
    #[test]
    fn the_way_that_was_counted_to_take_less_is_found() {
        let counted = [
            ([7, 7, 96], 2, false),
            ([6, 6, 96], 2, false),
            ([8, 8, 32], 2, false),
            ([12, 12, 32], 3, false),
            ([20, 20, 32], 2, false),
            ([7, 7, 16], 2, true),
            ([11, 11, 32], 2, true),
            ([5, 5, 24], 1, true),
            ([6, 6, 32], 1, true),
            ([25, 5, 64], 1, true),
        ];
        for ([h, w, c], stride, expected) in counted {
            let len = |len: u16| len.div_ceil(stride);
            let pad = |len_in: u16| (((len(len_in) - 1) * stride + 3).saturating_sub(len_in) / 2) as u8;
            let (pad_top, pad_left, step) = (pad(h), pad(w), stride as u8);
            let window = Window { stride_h: step, stride_w: step, pad_top, pad_left, ..Window::new(3, 3) };
            let found = strips_win(&window, Shape { h, w, c }, Shape { h: len(h), w: len(w), c });
            assert_eq!(found, expected, "{h}x{w}x{c}, stride {stride}");
        }
    }
}
