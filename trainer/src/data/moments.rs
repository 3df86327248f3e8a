//! What the inputs of a data set are like on the whole.

use ndarray::{ArrayView3, ArrayView4, Axis};

/// Sums over inputs, in codes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Moments {
    inputs: i128,
    /// Of each value of an input, in the order `[H, W, C]`.
    sums: Vec<i64>,
    /// Of the squares of all values.
    squares: i64,
}

impl Moments {
    /// Those of inputs `[N, H, W, C]`.
    #[must_use]
    pub fn of(inputs: ArrayView4<'_, i8>) -> Self {
        let mut moments = Self::default();
        inputs.axis_iter(Axis(0)).for_each(|input| moments.add(input));
        moments
    }

    /// Adds an input `[H, W, C]`, all of one shape.
    pub fn add(&mut self, input: ArrayView3<'_, i8>) {
        self.inputs += 1;
        self.sums.resize(input.len(), 0);
        for (sum, code) in self.sums.iter_mut().zip(input) {
            *sum += i64::from(*code);
            self.squares += i64::from(*code).pow(2);
        }
    }

    /// Number of values of all inputs.
    #[must_use]
    pub fn values(&self) -> usize {
        self.inputs as usize * self.sums.len()
    }

    /// Sum of the squares of all values.
    #[must_use]
    pub const fn about_zero(&self) -> f64 {
        self.squares as f64
    }

    /// Sum of the squared distances of all values from their mean over the inputs; exactly 0 where all inputs are alike.
    #[must_use]
    pub fn about_mean(&self) -> f64 {
        let of_sums: i128 = self.sums.iter().map(|sum| i128::from(*sum).pow(2)).sum();
        (self.inputs * i128::from(self.squares) - of_sums) as f64 / self.inputs.max(1) as f64
    }
}

#[cfg(test)]
mod tests {
    use ndarray::array;

    use super::*;

    #[test]
    fn distances_are_from_the_mean_of_each_value() {
        // One input a row of two values, 1 and 3 about 2, 100 and 106 about 103.
        let inputs = array![[[[1_i8]], [[100]]], [[[3]], [[106]]]];
        let moments = Moments::of(inputs.view());
        assert_eq!((moments.values(), moments.about_zero()), (4, 10.0 + 10_000.0 + 11_236.0));
        assert_eq!(moments.about_mean(), 2.0 + 18.0);
        let alike = array![[[[-128_i8]]], [[[-128]]], [[[-128]]]];
        assert_eq!(Moments::of(alike.view()).about_mean(), 0.0);
        assert_eq!(Moments::default().about_mean(), 0.0);
    }
}
