//! Losses that stay on the device: the host looks at them every few steps, and waits for the device no more often.

use tch::{Device, Kind, Tensor};

/// Steps from one look to the next.
const STEPS: usize = 16;

/// The losses since the last look.
#[derive(Debug)]
pub struct Losses {
    /// Of the pass, by input, f64.
    sum: Tensor,
    /// The greatest since the last look, NaN if one was.
    greatest: Tensor,
    inputs: usize,
    steps: usize,
}

/// What a look at the device tells.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Look {
    /// Sum of the losses of the pass, by input.
    pub sum: f64,
    /// Inputs since the look before.
    pub inputs: usize,
    /// The greatest loss since then; NaN if one was.
    pub greatest: f64,
}

impl Losses {
    /// Goes on from a sum over the pass so far.
    #[must_use]
    pub fn new(sum: f64, device: Device) -> Self {
        let scalar = |value: f64| Tensor::from(value).to_kind(Kind::Double).to_device(device);
        Self { sum: scalar(sum), greatest: scalar(f64::NEG_INFINITY), inputs: 0, steps: 0 }
    }

    /// Behind a step.
    ///
    /// loss    a scalar on the device: the mean over `inputs`
    pub fn add(&mut self, loss: &Tensor, inputs: usize) {
        let loss = loss.detach().to_kind(Kind::Double);
        self.sum += &loss * inputs as f64;
        self.greatest = self.greatest.maximum(&loss);
        self.inputs += inputs;
        self.steps += 1;
    }

    /// True where it is time to look: behind the first step of a pass, and every few steps.
    #[must_use]
    pub const fn are_due(&self, first: bool) -> bool {
        self.steps == STEPS || first && self.steps > 0
    }

    /// Waits for the device.
    pub fn look(&mut self) -> Look {
        let look =
            Look { sum: self.sum.double_value(&[]), inputs: self.inputs, greatest: self.greatest.double_value(&[]) };
        let _ = self.greatest.fill_(f64::NEG_INFINITY);
        (self.inputs, self.steps) = (0, 0);
        look
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sums_do_not_depend_on_when_they_are_looked_at() {
        let losses = [0.3_f32, 1.7, 0.1, 2.9];
        let mut rare = Losses::new(0.25, Device::Cpu);
        let mut often = Losses::new(0.25, Device::Cpu);
        for loss in losses {
            rare.add(&Tensor::from(loss), 3);
            often.add(&Tensor::from(loss), 3);
            assert_eq!(often.look().greatest, f64::from(loss));
        }
        let look = rare.look();
        assert_eq!((look.inputs, look.greatest), (12, f64::from(2.9_f32)));
        assert_eq!(look.sum, often.look().sum);
    }

    #[test]
    fn a_loss_that_is_no_number_is_not_forgotten() {
        let mut losses = Losses::new(0.0, Device::Cpu);
        for loss in [1.0_f32, f32::NAN, 0.5] {
            losses.add(&Tensor::from(loss), 1);
        }
        assert!(losses.look().greatest.is_nan());
        losses.add(&Tensor::from(0.5_f32), 1);
        assert_eq!(losses.look().greatest, 0.5);
    }
}
