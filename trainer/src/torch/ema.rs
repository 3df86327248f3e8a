//! A moving average of the weights, which is what is evaluated and exported.

use tch::Tensor;

/// The averages of named parameters.
#[derive(Debug)]
pub struct Average {
    decay: f64,
    parameters: Vec<(String, Tensor, Tensor)>,
}

impl Average {
    /// Averages that begin at the parameters.
    ///
    /// decay  share of the past, 0 to below 1
    #[must_use]
    pub fn new(decay: f64, parameters: Vec<(String, Tensor, bool)>) -> Self {
        let average = |(name, value, _): (String, Tensor, bool)| {
            let average = value.detach().copy();
            (name, value, average)
        };
        Self { decay, parameters: parameters.into_iter().map(average).collect() }
    }

    /// Forgets the past: the averages are what the parameters are now.
    pub fn begin(&mut self) {
        tch::no_grad(|| self.parameters.iter_mut().for_each(|(_, value, average)| average.copy_(value)));
    }

    /// Behind a step of the optimizer.
    pub fn update(&mut self) {
        tch::no_grad(|| {
            for (_, value, average) in &mut self.parameters {
                let updated = &*average * self.decay + &*value * (1.0 - self.decay);
                average.copy_(&updated);
            }
        });
    }

    /// Exchanges averages and parameters; twice is nothing.
    pub fn exchange(&mut self) {
        tch::no_grad(|| {
            for (_, value, average) in &mut self.parameters {
                let kept = value.copy();
                value.copy_(average);
                average.copy_(&kept);
            }
        });
    }

    /// The averages, with names.
    #[must_use]
    pub fn state(&self) -> Vec<(String, Tensor)> {
        let named =
            |(name, _, average): &(String, Tensor, Tensor)| (format!("average.{name}"), average.shallow_clone());
        self.parameters.iter().map(named).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_average_follows_its_parameter_and_changes_places_with_it() {
        let mut value = Tensor::from_slice(&[0_f32]).set_requires_grad(true);
        let mut average = Average::new(0.75, vec![("w".to_owned(), value.shallow_clone(), true)]);
        let _ = tch::no_grad(|| value.fill_(8.0));
        average.update();
        average.update();
        average.exchange();
        assert_eq!(Vec::<f32>::try_from(value.detach()).unwrap(), [3.5]);
        average.exchange();
        assert_eq!(Vec::<f32>::try_from(value.detach()).unwrap(), [8.0]);
        assert_eq!(average.state()[0].0, "average.w");
    }
}
