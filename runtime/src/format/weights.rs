//! Constants of the layers that accumulate products.

use serde::{Deserialize, Serialize};

/// The constants of a layer that accumulates products. Spec 2 and 3.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Weights<'a> {
    /// `i8` codes; their layout is the operator's.
    pub codes: &'a [u8],
    /// `[C_OUT]` i32 in little-endian bytes, at the accumulator's exponent; holds the rounding
    /// constant `2^(right_shift - 1)` as well.
    pub bias: &'a [u8],
    /// `[C_OUT]` i8: a positive value shifts the accumulator right, a negative one left.
    pub right_shift: &'a [u8],
}

impl<'a> Weights<'a> {
    /// The codes as integers.
    #[must_use]
    pub fn codes(&self) -> &'a [i8] {
        bytemuck::must_cast_slice(self.codes)
    }

    /// Bias and shift of each output channel.
    pub fn channels(&self) -> impl Iterator<Item = Channel> + Clone + use<'a> {
        let (biases, _) = self.bias.as_chunks::<4>();
        let right_shifts: &[i8] = bytemuck::must_cast_slice(self.right_shift);
        biases
            .iter()
            .zip(right_shifts)
            .map(|(bias, right_shift)| Channel { bias: i32::from_le_bytes(*bias), right_shift: *right_shift })
    }
}

/// What one output channel starts from and ends in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Channel {
    /// First value of the accumulator, rounding constant included.
    pub bias: i32,
    /// Shift of the accumulator.
    pub right_shift: i8,
}
