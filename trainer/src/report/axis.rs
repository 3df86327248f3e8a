//! An axis whose labels stand where they are told.

use std::ops::Range;

use plotters::coord::ranged1d::{DefaultFormatting, KeyPointHint, Ranged};
use plotters::coord::types::RangedCoordf64;

/// A range with the places of its labels.
#[derive(Debug, Clone)]
pub(super) struct Axis {
    range: Range<f64>,
    labels: Vec<f64>,
}

impl Axis {
    /// At most so many labels, at round numbers.
    pub(super) fn new(range: Range<f64>, most: usize) -> Self {
        let labels = RangedCoordf64::from(range.clone()).key_points(most);
        Self { range, labels }
    }

    /// At most so many labels, at whole numbers; at round ones where there is none within.
    pub(super) fn whole(range: Range<f64>, most: usize) -> Self {
        let labels = whole_numbers(&range, most);
        if labels.is_empty() { Self::new(range, most) } else { Self { range, labels } }
    }
}

impl Ranged for Axis {
    type FormatOption = DefaultFormatting;
    type ValueType = f64;

    fn map(&self, value: &f64, limit: (i32, i32)) -> i32 {
        RangedCoordf64::from(self.range.clone()).map(value, limit)
    }

    fn key_points<Hint: KeyPointHint>(&self, _: Hint) -> Vec<f64> {
        self.labels.clone()
    }

    fn range(&self) -> Range<f64> {
        self.range.clone()
    }
}

/// Whole numbers in a range, every so many that there are `most` at most.
fn whole_numbers(range: &Range<f64>, most: usize) -> Vec<f64> {
    let (first, last) = (range.start.ceil() as i64, range.end.floor() as i64);
    let multiples = |every: i64| (first + every - 1).div_euclid(every)..=last.div_euclid(every);
    let mut steps = (0..18).flat_map(|power| [1, 2, 5].map(|digit| digit * 10_i64.pow(power)));
    let every = steps.find(|every| multiples(*every).take(most + 1).count() <= most).unwrap_or(1);
    multiples(every).take(most).map(|multiple| (multiple * every) as f64).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whole_numbers_are_few_and_equally_far_apart() {
        assert_eq!(whole_numbers(&(-5.03..-3.97), 6), [-5.0, -4.0]);
        assert_eq!(whole_numbers(&(0.9..10.1), 8), [2.0, 4.0, 6.0, 8.0, 10.0]);
        assert_eq!(whole_numbers(&(-12.3..0.3), 6), [-10.0, -5.0, 0.0]);
        assert_eq!(whole_numbers(&(1.0..400.0), 4), [100.0, 200.0, 300.0, 400.0]);
        assert_eq!(whole_numbers(&(2.2..2.8), 6), [0.0; 0]);
    }

    #[test]
    fn an_axis_without_a_whole_number_has_labels_all_the_same() {
        assert!(!Axis::whole(2.2..2.8, 6).labels.is_empty());
        assert_eq!(Axis::whole(2.2..3.8, 6).labels, [3.0]);
    }
}
