//! A quantizer: the range it has seen, and the step that follows.

use anyhow::{Context, Result};
use tch::{Device, Kind, Tensor};

use super::settings::Settings;
use super::{affine, learned, range, rows, step_of};
use crate::torch::shim::{Rounding, fake_quantize};

/// Before anything was seen; below every step, so that it raises no other.
const UNSEEN_EXPONENT: i32 = -100;

/// What quantizes one tensor.
#[derive(Debug)]
pub struct Quantizer {
    settings: Settings,
    /// Moving average of the range, `[G]`; 0 before the first batch.
    range: Tensor,
    /// Moving average of the least value, `[G]`, where the range does not lie around 0.
    low: Option<Tensor>,
    /// `[1]` or `[C]`.
    step: Tensor,
    /// Code of 0, as many as steps.
    zero: Option<Tensor>,
    /// `[G]`: what the gradient changes.
    learned: Option<Tensor>,
    /// Values that share a step.
    values: i64,
    fixed: bool,
    /// The gradient reaches what is learned.
    learning: bool,
}

impl Quantizer {
    /// A quantizer that has seen nothing.
    ///
    /// shape  of the tensors; the extent of the batch is not used
    ///
    /// # Errors
    /// Where channels cannot share steps as the settings say.
    pub fn new(settings: Settings, shape: &[i64]) -> Result<Self> {
        let channels = shape.get(settings.axis() as usize).copied().unwrap_or(1);
        let groups = rows::groups(channels, settings.granularity)
            .with_context(|| format!("granularity {} does not divide {channels} channels", settings.granularity))?;
        let options = (Kind::Float, Device::Cpu);
        let zeros = || Tensor::zeros([groups], options);
        let step = rows::by_channel(&(zeros() + 2_f64.powi(UNSEEN_EXPONENT)), &settings);
        Ok(Self {
            settings,
            range: zeros(),
            low: settings.asymmetric.then(zeros),
            zero: settings.asymmetric.then(|| step.zeros_like()),
            step,
            learned: settings.method.is_learned().then(|| zeros().set_requires_grad(true)),
            values: 1.max(shape.iter().product::<i64>() / groups),
            fixed: false,
            learning: true,
        })
    }

    /// A quantizer whose step is not chosen.
    ///
    /// step  `[1]` or `[C]`
    /// zero  codes of 0, as many
    #[must_use]
    pub fn with_step(settings: Settings, step: Tensor, zero: Option<Tensor>) -> Self {
        let range = step.zeros_like();
        Self { settings, range, low: None, step, zero, learned: None, values: 1, fixed: true, learning: false }
    }

    /// The same on a device.
    #[must_use]
    pub fn to_device(self, device: Device) -> Self {
        let moved = |tensor: &Tensor| tensor.detach().to_device(device).set_requires_grad(tensor.requires_grad());
        Self {
            range: moved(&self.range),
            low: self.low.as_ref().map(moved),
            step: moved(&self.step),
            zero: self.zero.as_ref().map(moved),
            learned: self.learned.as_ref().map(moved),
            ..self
        }
    }

    /// Its settings.
    #[must_use]
    pub const fn settings(&self) -> &Settings {
        &self.settings
    }

    /// True where the step is not chosen from ranges.
    #[must_use]
    pub const fn is_fixed(&self) -> bool {
        self.fixed
    }

    /// Steps, `[1]` or `[C]`.
    pub const fn step(&self) -> &Tensor {
        &self.step
    }

    /// Codes of 0, as many as steps; `None` where all are 0.
    #[must_use]
    pub const fn zero(&self) -> Option<&Tensor> {
        self.zero.as_ref()
    }

    /// Chooses the step from the values and what was seen before. Spec 6.1, 6.2.
    pub fn observe(&mut self, x: &Tensor) {
        if self.fixed {
            return;
        }
        tch::no_grad(|| {
            let rows = rows::rows(&x.detach(), &self.settings).to_kind(Kind::Float);
            self.values = rows.size()[1];
            match (&self.learned, &self.low) {
                (Some(_), _) => self.observe_learned(&rows),
                (None, Some(_)) => self.observe_asymmetric(&rows),
                (None, None) => self.observe_magnitude(&rows),
            }
        });
    }

    /// Whether the gradient reaches a learned step; where not, the step is the one that was observed last.
    pub const fn set_learning(&mut self, learning: bool) {
        self.learning = learning;
    }

    /// No step below `least`. Spec 6.2.
    ///
    /// least  as many as steps, or one
    pub fn at_least(&mut self, least: &Tensor) {
        if !self.fixed {
            tch::no_grad(|| self.step.copy_(&self.step.maximum(least)));
        }
    }

    /// Codes times steps; the gradient reaches a learned step where `training`.
    ///
    /// # Errors
    /// Those of libtorch.
    pub fn quantize(&self, x: &Tensor, training: bool) -> Result<Tensor> {
        let kind = x.kind();
        let step = if training { self.differentiable_step() } else { self.step.shallow_clone() };
        let zero = self.zero.as_ref().map(|zero| zero.to_kind(kind));
        Ok(fake_quantize(x, &step.to_kind(kind), zero.as_ref(), self.rounding(training))?)
    }

    /// Bounds and rounding.
    #[must_use]
    pub fn rounding(&self, training: bool) -> Rounding {
        let Settings { codes, stochastic, .. } = self.settings;
        Rounding {
            stochastic: stochastic && training,
            axis: self.settings.axis(),
            ..Rounding::half_up(codes.lo.into(), codes.hi.into())
        }
    }

    /// What the optimizer changes; it has a gradient of its own until it is frozen.
    #[must_use]
    pub fn parameter(&self) -> Option<(&'static str, Tensor)> {
        let name = if self.settings.method == crate::quantizer_config::RangeMethod::Lsq {
            "learned_step"
        } else {
            "log2_threshold"
        };
        self.learned.as_ref().map(|learned| (name, learned.shallow_clone()))
    }

    /// Everything that a checkpoint holds but the parameter: range, step and code of 0.
    #[must_use]
    pub fn state(&self) -> Vec<(&'static str, Tensor)> {
        let mut list = vec![("range", self.range.shallow_clone()), ("step", self.step.shallow_clone())];
        list.extend(self.low.as_ref().map(|low| ("low", low.shallow_clone())));
        list.extend(self.zero.as_ref().map(|zero| ("zero", zero.shallow_clone())));
        list
    }

    fn differentiable_step(&self) -> Tensor {
        match self.learned.as_ref().filter(|_| self.learning) {
            Some(learned) => rows::by_channel(&learned::step(learned, self.values, &self.settings), &self.settings),
            None => self.step.shallow_clone(),
        }
    }

    fn observe_magnitude(&mut self, rows: &Tensor) {
        let seen = range::range(rows, &self.settings);
        self.range.copy_(&averaged(&self.range, &seen, &self.range.ne(0.0), self.settings.momentum));
        self.step.copy_(&rows::by_channel(&step_of(&self.range, &self.settings), &self.settings));
    }

    fn observe_asymmetric(&mut self, rows: &Tensor) {
        let (Some(low), Some(zero)) = (&mut self.low, &mut self.zero) else { return };
        let (least, greatest) = affine::bounds(rows, &range::range(rows, &self.settings));
        let before = self.range.ne(0.0).logical_or(&Tensor::ne(low, 0.0));
        self.range.copy_(&averaged(&self.range, &greatest, &before, self.settings.momentum));
        low.copy_(&averaged(low, &least, &before, self.settings.momentum));
        let (step, codes) = affine::step_and_zero(low, &self.range, &self.settings);
        self.step.copy_(&rows::by_channel(&step, &self.settings));
        zero.copy_(&rows::by_channel(&codes, &self.settings));
    }

    fn observe_learned(&mut self, rows: &Tensor) {
        let Some(learned) = &mut self.learned else { return };
        let first = learned::initial(rows, &self.settings);
        learned.copy_(&learned.where_self(&self.range.ne(0.0), &first));
        self.range.copy_(&self.range.ones_like());
        let step = learned::step(learned, self.values, &self.settings);
        self.step.copy_(&rows::by_channel(&step, &self.settings));
    }
}

/// The moving average; what is seen first counts alone.
fn averaged(past: &Tensor, seen: &Tensor, before: &Tensor, momentum: f64) -> Tensor {
    if momentum == 0.0 {
        return seen.shallow_clone();
    }
    let average = past * momentum + seen * (1.0 - momentum);
    average.where_self(before, seen)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::quantizer_config::{Granularity, QuantizerConfig, RangeMethod, Scheme};
    use crate::torch::quantize::exponent::exponents;
    use crate::torch::test_numbers::normal;

    fn config(range: RangeMethod) -> QuantizerConfig {
        QuantizerConfig { range: Some(range), ..QuantizerConfig::default() }
    }

    fn activation(range: RangeMethod, scheme: Scheme, momentum: f64) -> Quantizer {
        Quantizer::new(Settings::activations(config(range), scheme, false, momentum).unwrap(), &[1]).unwrap()
    }

    /// Defect 18 of nics_fix: FIX_FIXED uses the range of the last batch.
    #[test]
    fn one_odd_batch_moves_the_average_a_little() {
        let mut quantizer = activation(RangeMethod::Max, Scheme::PowerOfTwo, 0.95);
        for _ in 0..10 {
            quantizer.observe(&Tensor::from_slice(&[1_f32, -0.5]));
        }
        quantizer.observe(&Tensor::from_slice(&[3_f32]));
        assert_eq!(exponents(quantizer.step()), [-6]);
        assert!((quantizer.range.double_value(&[0]) - 1.1).abs() < 1e-6);
    }

    /// Defect 9 of nics_fix: a zero point without a float scale gives NaN on data that are all negative.
    #[test]
    fn data_of_one_sign_have_a_zero_point() {
        for (values, zero) in [([-3_f32, -1.0], 127.0), ([1.0, 3.0], -128.0), ([0.0, 0.0], -128.0)] {
            let mut quantizer = activation(RangeMethod::Max, Scheme::Affine, 0.0);
            let x = Tensor::from_slice(&values);
            quantizer.observe(&x);
            assert_eq!(quantizer.zero().unwrap().double_value(&[0]), zero);
            let rounded = quantizer.quantize(&x, false).unwrap();
            assert!((rounded - x).abs().max().double_value(&[]) <= 3.0 / 255.0);
        }
    }

    #[test]
    fn a_learned_threshold_follows_its_gradient() {
        let mut quantizer = activation(RangeMethod::Tqt, Scheme::PowerOfTwo, 0.0);
        // Nearly all values are far below the greatest: a smaller threshold serves them better.
        let x =
            Tensor::cat(&[Tensor::full([4000], 0.013, (Kind::Float, Device::Cpu)), Tensor::from_slice(&[4_f32])], 0);
        quantizer.observe(&x);
        assert_eq!(exponents(quantizer.step()), [-5]);
        let learned = quantizer.parameter().unwrap().1;
        let first = learned.double_value(&[0]);
        for _ in 0..200 {
            let mut learned = quantizer.parameter().unwrap().1;
            learned.zero_grad();
            let error = (quantizer.quantize(&x, true).unwrap() - &x).square().sum(Kind::Float);
            error.backward();
            let _ = tch::no_grad(|| learned.g_sub_(&(learned.grad() * 10.0)));
            quantizer.observe(&x);
        }
        assert!(learned.double_value(&[0]) < first - 0.1, "{first} to {}", learned.double_value(&[0]));
    }

    #[test]
    fn a_learned_step_finds_a_smaller_error() {
        let four =
            QuantizerConfig { bits: Some(3), granularity: Some(Granularity::Tensor), ..config(RangeMethod::Lsq) };
        let mut quantizer = Quantizer::new(Settings::weights(four, Scheme::Affine), &[1000]).unwrap();
        let x = normal(2, &[1000]);
        let error = |quantizer: &Quantizer| (quantizer.quantize(&x, true).unwrap() - &x).square().sum(Kind::Float);
        quantizer.observe(&x);
        let before = error(&quantizer).double_value(&[]);
        for _ in 0..300 {
            let mut learned = quantizer.parameter().unwrap().1;
            learned.zero_grad();
            error(&quantizer).backward();
            let _ = tch::no_grad(|| learned.g_sub_(&(learned.grad() * 0.002)));
        }
        quantizer.observe(&x);
        let after = error(&quantizer).double_value(&[]);
        assert!(after < 0.9 * before, "{before} to {after}");
    }

    #[test]
    fn channels_that_do_not_divide_are_refused() {
        let three = QuantizerConfig { granularity: Some(Granularity::Channels(3)), ..QuantizerConfig::default() };
        let error = Quantizer::new(Settings::weights(three, Scheme::PowerOfTwo), &[8, 1, 1, 1]).unwrap_err();
        assert!(error.to_string().contains("{ channels = 3 } does not divide 8 channels"), "{error}");
    }
}
