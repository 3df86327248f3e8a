//! Windows that slide over rows and columns.

use serde::{Deserialize, Serialize};

/// A window that slides over rows and columns.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Window {
    /// Rows of the kernel, at least 1.
    pub kernel_h: u8,
    /// Columns of the kernel, at least 1.
    pub kernel_w: u8,
    /// Rows from one output to the next, at least 1.
    pub stride_h: u8,
    /// Columns from one output to the next, at least 1.
    pub stride_w: u8,
    /// Rows from one row of the kernel to the next, at least 1.
    pub dilation_h: u8,
    /// Columns from one column of the kernel to the next, at least 1.
    pub dilation_w: u8,
    /// Rows of padding above, less than the rows that the kernel spans.
    pub pad_top: u8,
    /// Rows of padding below, less than the rows that the kernel spans.
    pub pad_bottom: u8,
    /// Columns of padding on the left, less than the columns that the kernel spans.
    pub pad_left: u8,
    /// Columns of padding on the right, less than the columns that the kernel spans.
    pub pad_right: u8,
}

impl Window {
    /// A kernel of `h` rows and `w` columns that moves by one, without padding.
    #[must_use]
    pub const fn new(h: u8, w: u8) -> Self {
        Self {
            kernel_h: h,
            kernel_w: w,
            stride_h: 1,
            stride_w: 1,
            dilation_h: 1,
            dilation_w: 1,
            pad_top: 0,
            pad_bottom: 0,
            pad_left: 0,
            pad_right: 0,
        }
    }

    /// True where rows and columns under the kernel are neighbours.
    #[must_use]
    pub const fn is_dense(&self) -> bool {
        self.dilation_h == 1 && self.dilation_w == 1
    }

    /// Rows times columns of the kernel.
    #[must_use]
    pub const fn taps(&self) -> usize {
        self.kernel_h as usize * self.kernel_w as usize
    }

    /// Rows and columns of the output over an input of `h` rows and `w` columns, or `None` where
    /// the window does not fit or is not a legal one.
    #[must_use]
    pub fn output_size(&self, h: u16, w: u16) -> Option<(u16, u16)> {
        let [rows, columns] = self.axes();
        Some((rows.output_len(h)?, columns.output_len(w)?))
    }

    /// As [`Self::output_size`], of a transposed convolution; its dilation must be 1.
    #[must_use]
    pub fn transposed_size(&self, h: u16, w: u16) -> Option<(u16, u16)> {
        let [rows, columns] = self.axes();
        Some((rows.transposed_len(h)?, columns.transposed_len(w)?))
    }

    /// First row of the input that output row `oy` or a later one reads.
    #[must_use]
    pub const fn first_row(&self, oy: usize) -> usize {
        (oy * self.stride_h as usize).saturating_sub(self.pad_top as usize)
    }

    /// Bytes by which the output must begin below the input, for an operator that writes row by row to write over rows
    /// that it has passed.
    #[must_use]
    pub fn row_distance(&self, in_rows: u16, in_row_bytes: usize, out_rows: u16, out_row_bytes: usize) -> usize {
        let distance = |oy: u16| {
            let written = (usize::from(oy) + 1).saturating_mul(out_row_bytes);
            let passed = self.first_row(oy.into()).min(in_rows.into());
            written.saturating_sub(passed.saturating_mul(in_row_bytes))
        };
        (0..out_rows).map(distance).max().unwrap_or(0)
    }

    const fn axes(&self) -> [Axis; 2] {
        [
            Axis {
                kernel: self.kernel_h,
                stride: self.stride_h,
                dilation: self.dilation_h,
                before: self.pad_top,
                after: self.pad_bottom,
            },
            Axis {
                kernel: self.kernel_w,
                stride: self.stride_w,
                dilation: self.dilation_w,
                before: self.pad_left,
                after: self.pad_right,
            },
        ]
    }
}

/// A window along rows or columns.
struct Axis {
    kernel: u8,
    stride: u8,
    dilation: u8,
    before: u8,
    after: u8,
}

impl Axis {
    /// Entries that the kernel spans, where the axis is legal.
    fn span(&self) -> Option<u32> {
        let span = (u32::from(self.kernel).checked_sub(1)?) * u32::from(self.dilation) + 1;
        let legal = self.stride > 0 && self.dilation > 0;
        let padded = u32::from(self.before) < span && u32::from(self.after) < span;
        (legal && padded).then_some(span)
    }

    fn output_len(&self, len: u16) -> Option<u16> {
        let padded = u32::from(len) + u32::from(self.before) + u32::from(self.after);
        let steps = padded.checked_sub(self.span()?)?.checked_div(self.stride.into())?;
        u16::try_from(steps + 1).ok()
    }

    fn transposed_len(&self, len: u16) -> Option<u16> {
        let span = self.span().filter(|_| self.dilation == 1)?;
        let full = u32::from(len).checked_sub(1)? * u32::from(self.stride) + span;
        let cut = full.checked_sub(u32::from(self.before) + u32::from(self.after))?;
        u16::try_from(cut).ok().filter(|len| *len > 0)
    }
}
