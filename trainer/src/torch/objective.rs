//! What a training step lessens: cross-entropy with smoothed labels or the squared error of a reconstruction, and the distance
//! from a teacher.

use tch::{Kind, Reduction, Tensor};

use super::batches::{Batch, Targets};
use super::operators::flattened;
use crate::config::{DistillationConfig, Task};

/// Labels of this value have no part in the loss.
const NO_LABEL: i64 = -100;

/// What the outputs of a batch are held to.
#[derive(Debug)]
pub enum Goal<'a> {
    /// Classes.
    Classes(&'a Targets),
    /// The inputs, `[N, H * W * C]`.
    Inputs(Tensor),
}

impl<'a> Goal<'a> {
    /// Of a batch.
    ///
    /// step  of the input's codes
    #[must_use]
    pub fn of(task: Task, batch: &'a Batch, step: f64) -> Self {
        match task {
            Task::Classification => Self::Classes(&batch.targets),
            Task::Reconstruction => Self::Inputs(flattened(&batch.clean) * step),
        }
    }

    /// The loss, a scalar on the device.
    ///
    /// outputs    `[N, classes]`, or `[N, H * W * C]`
    /// smoothing  share of each label that is spread over all classes
    pub fn loss(&self, outputs: &Tensor, smoothing: f64) -> Tensor {
        match self {
            Self::Classes(targets) => targets.loss(|labels| cross_entropy(outputs, labels, smoothing)),
            Self::Inputs(inputs) => squared_error(outputs, inputs),
        }
    }

    /// A loss of its share, and by the other share the distance from the teacher's outputs.
    ///
    /// outputs, teacher  `[N, classes]`, or `[N, H * W * C]`
    pub fn distilled(&self, loss: &Tensor, outputs: &Tensor, teacher: &Tensor, config: DistillationConfig) -> Tensor {
        match self {
            Self::Classes(_) => distilled(loss, outputs, teacher, config),
            Self::Inputs(_) => loss * (1.0 - config.weight) + squared_error(outputs, teacher) * config.weight,
        }
    }
}

/// Mean over all inputs and values.
fn squared_error(outputs: &Tensor, expected: &Tensor) -> Tensor {
    outputs.mse_loss(expected, Reduction::Mean)
}

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
fn distilled(loss: &Tensor, logits: &Tensor, teacher: &Tensor, config: DistillationConfig) -> Tensor {
    let (weight, temperature) = (config.weight, config.temperature());
    let softened = |logits: &Tensor| (logits / temperature).log_softmax(1, Kind::Float);
    let target = softened(&teacher.detach());
    let divergence = (target.exp() * (&target - softened(logits))).sum(Kind::Float) / logits.size()[0] as f64;
    loss * (1.0 - weight) + divergence * (weight * temperature * temperature)
}

#[cfg(test)]
mod tests {
    use stepshift_runtime::format::Shape;
    use tch::Device;

    use super::*;
    use crate::layer_config::{LayerConfig, OpName};
    use crate::network::Network;
    use crate::torch::float_network::{FloatNetwork, restore};

    /// A network of one layer whose outputs are its input: of any order but the inputs' own, the loss would not be 0.
    fn identity(layer: LayerConfig, weight: &Tensor) -> FloatNetwork {
        let network = Network::new(Shape { h: 2, w: 3, c: 4 }, &[layer]).unwrap();
        let float = FloatNetwork::new(&network, 1);
        let bias = Tensor::zeros([weight.size()[0]], (Kind::Float, Device::Cpu));
        let state = [("layer.weight", weight), ("layer.bias", &bias)];
        let find = |name: &str| state.iter().find(|(own, _)| *own == name).map(|(_, tensor)| tensor.shallow_clone());
        restore(&float.state(), find).unwrap();
        float
    }

    #[test]
    fn outputs_of_convolutions_and_of_full_connections_are_held_to_the_same_values() {
        let eye = |count: i64| Tensor::eye(count, (Kind::Float, Device::Cpu)).view([count, count, 1, 1]);
        let conv = identity(LayerConfig::new("layer", OpName::Conv2d).out_ch(4).kernel(1, 1), &eye(4));
        let connected = identity(LayerConfig::new("layer", OpName::FullyConnected).out_ch(24), &eye(24));
        let codes = Tensor::arange(48, (Kind::Float, Device::Cpu)).view([2, 4, 2, 3]);
        let targets = Targets { labels: Tensor::from_slice(&[0_i64, 0]), mixed: None };
        let (step, x) = (0.25, &codes * 0.25);
        let batch = Batch { clean: &codes + 4.0, codes, targets };
        let goal = Goal::of(Task::Reconstruction, &batch, step);
        let outputs = [conv, connected].map(|network| network.forward(&x, false));
        assert_eq!(outputs[0], outputs[1]);
        for outputs in outputs {
            assert_eq!(goal.loss(&outputs, 0.0).double_value(&[]), 1.0, "every value is off by 4 codes of 0.25");
            // The teacher is 2 above: a quarter of 1 and three quarters of 4.
            let config = DistillationConfig { weight: 0.75, temperature: None };
            let distilled = goal.distilled(&goal.loss(&outputs, 0.0), &outputs, &(&outputs + 2.0), config);
            assert_eq!(distilled.double_value(&[]), 3.25);
        }
    }

    #[test]
    fn a_student_that_is_its_teacher_has_the_labels_share_alone() {
        let logits = Tensor::from_slice(&[2_f32, 0.0, -1.0, 0.5, 0.5, 3.0]).view([2, 3]);
        let labels = Tensor::from_slice(&[0_i64, 2]);
        let config = DistillationConfig { weight: 0.25, temperature: Some(3.0) };
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
