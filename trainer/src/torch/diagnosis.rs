//! Which layer a training broke in.

use tch::{Kind, Tensor};

use crate::network::Network;

/// How many times the loss of a guess a training may reach before it counts as diverged.
const GUESSES: f64 = 50.0;

/// True where a loss says that the training will not come back.
///
/// classes  that are told apart
#[must_use]
pub fn is_lost(loss: f64, classes: usize) -> bool {
    !loss.is_finite() || loss > GUESSES * (classes.max(2) as f64).ln()
}

/// How many times the loss of its best pass a training may come back to.
const CLIMB: f64 = 2.0;

/// True where the mean loss of a pass says that what was learned before is gone: it is worse than a guess, and was far better.
///
/// best     least mean loss of the passes before
/// classes  that are told apart
#[must_use]
pub fn has_climbed(loss: f64, best: f64, classes: usize) -> bool {
    loss > (classes.max(2) as f64).ln() && loss > CLIMB * best
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
        assert!(is_lost(f64::NAN, 10) && is_lost(1e4, 10) && !is_lost(5.0, 10));
    }

    #[test]
    fn a_loss_has_climbed_where_it_is_worse_than_a_guess_and_was_better() {
        assert!(has_climbed(5.4, 0.2, 10));
        assert!(!has_climbed(2.2, 0.2, 10), "a guess's loss is 2.3");
        assert!(!has_climbed(4.0, 2.1, 10), "it was hardly better than a guess");
    }
}
