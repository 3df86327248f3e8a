//! Which layer a training broke in.

use tch::{Kind, Tensor};

use crate::data::Moments;
use crate::network::Network;

/// Losses of networks that have learned nothing, which those of a training are held against.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Guess {
    /// Of outputs that are all zero.
    pub zero: f64,
    /// Of the best outputs that are the same for every input.
    pub constant: f64,
}

impl Guess {
    /// Of as many classes, all as frequent: by cross-entropy.
    #[must_use]
    pub fn of_classes(classes: usize) -> Self {
        let loss = (classes.max(2) as f64).ln();
        Self { zero: loss, constant: loss }
    }

    /// Of inputs that are reconstructed: by mean squared error.
    ///
    /// step  of the inputs' codes
    #[must_use]
    pub fn of_inputs(moments: &Moments, step: f64) -> Self {
        let mean = |sum: f64| sum * step * step / moments.values().max(1) as f64;
        Self { zero: mean(moments.about_zero()), constant: mean(moments.about_mean()) }
    }
}

/// How many times the loss of zeros a training may reach before it counts as diverged.
const GUESSES: f64 = 50.0;

/// True where a loss says that the training will not come back.
#[must_use]
pub fn is_lost(loss: f64, guess: Guess) -> bool {
    !loss.is_finite() || loss > GUESSES * guess.zero
}

/// How many times the loss of its best pass a training may come back to.
const CLIMB: f64 = 2.0;

/// True where the mean loss of a pass says that what was learned before is gone: it is worse than a guess, and was far better.
///
/// best  least mean loss of the passes before
#[must_use]
pub fn has_climbed(loss: f64, best: f64, guess: Guess) -> bool {
    loss > guess.constant && loss > CLIMB * best
}

/// What to say of the first layer whose output holds something that is no number, or else of the one with the greatest values.
///
/// tensors  every tensor of a forward pass, the input first
#[must_use]
pub fn first_broken_layer(network: &Network, tensors: &[Tensor]) -> String {
    let greatest = |tensor: &Tensor| tensor.detach().abs().max().to_kind(Kind::Double).double_value(&[]);
    let magnitudes: Vec<f64> = tensors.iter().map(greatest).collect();
    let name = |tensor: usize| tensor.checked_sub(1).map_or("input", |layer| network.layers[layer].name.as_str());
    if let Some(broken) = magnitudes.iter().position(|magnitude| !magnitude.is_finite()) {
        return format!("layer {} is the first whose output is not finite", name(broken));
    }
    let largest = (0..magnitudes.len()).max_by(|a, b| magnitudes[*a].total_cmp(&magnitudes[*b])).unwrap_or_default();
    format!("layer {} has the greatest output, {:.3e}", name(largest), magnitudes[largest])
}

#[cfg(test)]
mod tests {
    use ndarray::Array4;
    use stepshift_runtime::format::Shape;

    use super::*;

    #[test]
    fn the_first_layer_that_breaks_is_named() {
        let layers = crate::config::parse(include_str!("../../configs/digits.toml")).unwrap().layers;
        let network = Network::new(Shape { h: 8, w: 8, c: 1 }, &layers[..3]).unwrap();
        let tensor = |value: f32| Tensor::from_slice(&[1.0, value]);
        let nan = [tensor(1.0), tensor(2.0), tensor(f32::NAN), tensor(f32::INFINITY)];
        assert_eq!(first_broken_layer(&network, &nan), "layer conv2 is the first whose output is not finite");
        let large = [tensor(1.0), tensor(2e9), tensor(3.0), tensor(4.0)];
        assert_eq!(first_broken_layer(&network, &large), "layer conv1 has the greatest output, 2.000e9");
        let guess = Guess::of_classes(10);
        assert!(is_lost(f64::NAN, guess) && is_lost(1e4, guess) && !is_lost(5.0, guess));
    }

    #[test]
    fn a_loss_has_climbed_where_it_is_worse_than_a_guess_and_was_better() {
        let guess = Guess::of_classes(10);
        assert!(has_climbed(5.4, 0.2, guess));
        assert!(!has_climbed(2.2, 0.2, guess), "a guess's loss is 2.3");
        assert!(!has_climbed(4.0, 2.1, guess), "it was hardly better than a guess");
    }

    /// Inputs far from zero that hardly vary: first losses are of their size, losses of what was learned of their variance.
    #[test]
    fn a_reconstruction_is_held_against_the_size_and_the_variance_of_its_inputs() {
        let inputs = Array4::from_shape_fn((100, 1, 5, 2), |(input, ..)| if input % 2 == 0 { 98 } else { 102 });
        let guess = Guess::of_inputs(&Moments::of(inputs.view()), 0.5);
        assert_eq!((guess.zero, guess.constant), (2501.0, 1.0));
        assert!(!is_lost(7500.0, guess) && is_lost(130_000.0, guess));
        assert!(has_climbed(1.5, 0.1, guess) && !has_climbed(0.9, 0.1, guess));
    }
}
