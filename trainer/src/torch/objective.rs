//! What a training step lessens: cross-entropy with smoothed labels, and the distance from a teacher.

use tch::{Kind, Reduction, Tensor};

use crate::config::DistillationConfig;

/// Labels of this value have no part in the loss.
const NO_LABEL: i64 = -100;

/// Cross-entropy of labels that keep `1 - smoothing` of their share, the rest spread over all classes (Szegedy et al. 2016, section 7).
///
/// logits  `[N, classes]`
/// labels  `[N]` i64
pub fn cross_entropy(logits: &Tensor, labels: &Tensor, smoothing: f64) -> Tensor {
    logits.cross_entropy_loss::<Tensor>(labels, None, Reduction::Mean, NO_LABEL, smoothing)
}

/// The loss against labels, and by its share that against the teacher's softened outputs (Hinton et al. 2015, section 2).
///
/// loss             of the labels
/// logits, teacher  `[N, classes]`
pub fn distilled(loss: &Tensor, logits: &Tensor, teacher: &Tensor, config: DistillationConfig) -> Tensor {
    let DistillationConfig { weight, temperature } = config;
    let softened = |logits: &Tensor| (logits / temperature).log_softmax(1, Kind::Float);
    let target = softened(&teacher.detach());
    let divergence = (target.exp() * (&target - softened(logits))).sum(Kind::Float) / logits.size()[0] as f64;
    loss * (1.0 - weight) + divergence * (weight * temperature * temperature)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_student_that_is_its_teacher_has_the_labels_share_alone() {
        let logits = Tensor::from_slice(&[2_f32, 0.0, -1.0, 0.5, 0.5, 3.0]).view([2, 3]);
        let labels = Tensor::from_slice(&[0_i64, 2]);
        let config = DistillationConfig { weight: 0.25, temperature: 3.0 };
        let loss = cross_entropy(&logits, &labels, 0.0);
        let same = distilled(&loss, &logits, &logits, config);
        assert!((same - &loss * 0.75).abs().double_value(&[]) < 1e-6);
        let other = distilled(&loss, &logits, &(&logits * 2.0), config);
        assert!(other.double_value(&[]) > (loss * 0.75).double_value(&[]) + 0.01);
    }

    #[test]
    fn smoothing_spreads_its_share_over_all_classes() {
        let logits = Tensor::from_slice(&[1_f64, 0.0]).view([1, 2]);
        let log_sum = (1_f64.exp() + 1.0).ln();
        let expected = 0.9 * (log_sum - 1.0) + 0.1 * (log_sum - 0.5);
        let got = cross_entropy(&logits, &Tensor::from_slice(&[0_i64]), 0.1).double_value(&[]);
        assert!((got - expected).abs() < 1e-9, "{got}");
    }
}
