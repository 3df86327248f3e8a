//! Errors of reconstructions, of normal inputs and of anomalies.

use ndarray::ArrayView3;

use crate::data::Moments;
use crate::roc::{auc, threshold};
use crate::score::Score;

/// The squared error of every test input.
#[derive(Debug, Clone)]
pub struct Errors<E> {
    /// Of inputs of classes that are learned from.
    pub normal: Vec<E>,
    /// Of the others.
    pub anomalous: Vec<E>,
    /// Of the normal inputs.
    moments: Moments,
}

impl<E> Default for Errors<E> {
    fn default() -> Self {
        Self { normal: Vec::new(), anomalous: Vec::new(), moments: Moments::default() }
    }
}

impl<E: PartialOrd + Copy> Errors<E> {
    /// Adds an input.
    ///
    /// codes  `[H, W, C]`
    pub fn add(&mut self, codes: ArrayView3<'_, i8>, is_anomaly: bool, error: E) {
        if is_anomaly {
            self.anomalous.push(error);
        } else {
            self.normal.push(error);
            self.moments.add(codes);
        }
    }

    /// How well the errors tell anomalies; how small they are, where there are none.
    ///
    /// in_codes  an error in squared steps of the input's codes
    pub fn score(&self, in_codes: impl Fn(E) -> f64) -> Score {
        if !self.anomalous.is_empty() {
            return Score::Auc(auc(&self.normal, &self.anomalous));
        }
        let error: f64 = self.normal.iter().map(|error| in_codes(*error)).sum();
        Score::ExplainedVariance(100.0 * (1.0 - error / self.moments.about_mean()))
    }

    /// [`threshold`] of the normal inputs.
    #[must_use]
    pub fn threshold(&self) -> Option<E> {
        threshold(&self.normal)
    }
}

#[cfg(test)]
mod tests {
    use ndarray::array;

    use super::*;

    #[test]
    fn the_mean_input_explains_nothing_and_the_input_itself_everything() {
        let inputs = [array![[[10_i8, 0]]], array![[[14, 2]]]];
        // The means are 12 and 1, so that the variance is 2 * 4 + 2 * 1 squared codes, of 40 units here.
        for (errors, percent) in [([20_u64, 20], 0.0), ([0, 0], 100.0), ([10, 0], 75.0), ([80, 0], -100.0)] {
            let mut all = Errors::default();
            inputs.iter().zip(errors).for_each(|(input, error)| all.add(input.view(), false, error));
            assert_eq!(all.score(|error| error as f64 / 4.0), Score::ExplainedVariance(percent));
        }
    }

    #[test]
    fn anomalies_are_told_by_their_errors_and_have_no_part_in_the_threshold() {
        let mut errors = Errors::default();
        for (is_anomaly, error) in [(false, 3_u64), (true, 9), (false, 4), (true, 4)] {
            errors.add(array![[[1_i8]]].view(), is_anomaly, error);
        }
        assert_eq!(errors.score(|error| error as f64), Score::Auc(3.5 / 4.0));
        assert_eq!(errors.threshold(), Some(4));
    }
}
