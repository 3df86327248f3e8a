//! How well an error tells anomalies from normal inputs.

/// Percent of the normal inputs that a threshold lets pass, at least.
pub const PASSING_PERCENT: usize = 99;

/// Area under the ROC curve: the share of pairs of an anomaly and a normal input in which the anomaly has the greater error,
/// where equal errors count half (Mann, Whitney 1947). 1/2 for none of either.
#[must_use]
pub fn auc<E: PartialOrd + Copy>(normal: &[E], anomalous: &[E]) -> f64 {
    let sorted = sorted(normal);
    let halves = |anomaly: &E| {
        let less = sorted.partition_point(|error| error < anomaly);
        let not_greater = sorted.partition_point(|error| error <= anomaly);
        (less + not_greater) as u64
    };
    let pairs = normal.len() as u64 * anomalous.len() as u64;
    if pairs == 0 {
        return 0.5;
    }
    anomalous.iter().map(halves).sum::<u64>() as f64 / (2 * pairs) as f64
}

/// The least error that [`PASSING_PERCENT`] of the normal inputs do not exceed: what is greater is an anomaly.
#[must_use]
pub fn threshold<E: PartialOrd + Copy>(normal: &[E]) -> Option<E> {
    let passing = (normal.len() * PASSING_PERCENT).div_ceil(100);
    sorted(normal).get(passing.checked_sub(1)?).copied()
}

/// Errors are numbers, so that each two can be compared.
fn sorted<E: PartialOrd + Copy>(errors: &[E]) -> Vec<E> {
    let mut sorted = errors.to_vec();
    sorted.sort_by(|a, b| a.partial_cmp(b).unwrap_or(std::cmp::Ordering::Equal));
    sorted
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_area_is_that_of_pairs_counted_by_hand() {
        // Of 12 pairs: 5 beats all four, 3 beats two and ties with one, 0 beats none.
        assert_eq!(auc(&[1_u64, 3, 4, 2], &[5, 3, 0]), 6.5 / 12.0);
        assert_eq!(auc(&[1_u64, 2], &[3, 4]), 1.0);
        assert_eq!(auc(&[3.0, 4.0], &[1.0, 2.0]), 0.0);
        assert_eq!(auc(&[7.0; 5], &[7.0; 3]), 0.5, "an error that says nothing");
        assert_eq!(auc(&[1_u64], &[]), 0.5);
    }

    #[test]
    fn a_threshold_lets_its_percent_of_the_normal_inputs_pass() {
        let errors: Vec<u64> = (1..=200).rev().collect();
        assert_eq!(threshold(&errors), Some(198));
        assert_eq!(threshold(&errors[..150]), Some(199), "149 of 51 to 200 are 99.3 %, 148 are 98.7 %");
        assert_eq!(threshold(&[4_u64, 9]), Some(9));
        assert_eq!(threshold::<u64>(&[]), None);
    }
}
