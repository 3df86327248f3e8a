//! Gradients, quantized on their way back. Spec 6.5.

use tch::{TchError, Tensor};

use super::settings::Settings;
use super::{range, rows, step_of};
use crate::torch::shim::{Rounding, fake_quantize, on_gradient};

/// `x`, whose gradient comes back in codes of its own range.
///
/// # Errors
/// Those of libtorch.
pub fn with_quantized_gradient(x: &Tensor, settings: Option<Settings>) -> Result<Tensor, TchError> {
    match settings {
        Some(settings) => on_gradient(x, move |gradient| quantized(gradient, &settings)),
        None => Ok(x.shallow_clone()),
    }
}

/// A gradient in codes of its own range: defined for every gradient, all zero or tiny. Spec 6.5.
///
/// # Errors
/// Those of libtorch.
pub fn quantized(gradient: &Tensor, settings: &Settings) -> Result<Tensor, TchError> {
    let range = range::range(&rows::rows(gradient, settings), settings);
    let step = rows::by_channel(&step_of(&range, settings), settings);
    let bounds = Rounding::half_up(settings.codes.lo.into(), settings.codes.hi.into());
    fake_quantize(gradient, &step, None, Rounding { stochastic: settings.stochastic, axis: settings.axis(), ..bounds })
}

#[cfg(test)]
mod tests {
    use tch::Kind;

    use super::*;
    use crate::quantizer_config::{Granularity, QuantizerConfig};
    use crate::torch::quantize::exponent::exponents;

    fn settings(config: QuantizerConfig) -> Settings {
        Settings::gradient(config, 0)
    }

    /// Defect 5 of nics_fix: an absolute floor of 1e-5 turns every small 8-bit gradient into zero.
    #[test]
    fn small_gradients_keep_their_relative_precision() {
        for magnitude in [1.0_f64, 1e-6, 1e-12, 1e-30] {
            let gradient = Tensor::from_slice(&[1.0_f64, 0.5, -0.25, 0.01]) * magnitude;
            let rounded = quantized(&gradient, &settings(QuantizerConfig::default())).unwrap();
            let error = ((rounded - &gradient).abs().max() / magnitude).double_value(&[]);
            assert!(error <= 1.0 / 127.0, "{magnitude}: {error}");
        }
    }

    #[test]
    fn a_gradient_of_zeros_stays_so() {
        for kind in [Kind::Float, Kind::Double] {
            let zeros = Tensor::zeros([8], (kind, tch::Device::Cpu));
            let rounded = quantized(&zeros, &settings(QuantizerConfig::default())).unwrap();
            assert_eq!(Vec::<f64>::try_from(rounded.to_kind(Kind::Double)).unwrap(), [0.0; 8]);
        }
    }

    /// Defect 11 of nics_fix: a gradient's `group` is taken from the data's config.
    #[test]
    fn a_gradient_has_a_range_width_and_group_of_its_own() {
        let config =
            QuantizerConfig { bits: Some(2), granularity: Some(Granularity::Channel), ..QuantizerConfig::default() };
        let x = Tensor::ones([2, 2], (Kind::Float, tch::Device::Cpu)).set_requires_grad(true);
        let y = with_quantized_gradient(&x, Some(settings(config))).unwrap();
        (y * Tensor::from_slice(&[1_f32, 0.4, 64.0, 20.0]).view([2, 2])).sum(Kind::Float).backward();
        assert_eq!(Vec::<f32>::try_from(x.grad().flatten(0, -1)).unwrap(), [1.0, 0.0, 64.0, 0.0]);
        // The forward is the identity.
        assert_eq!(
            Vec::<f32>::try_from(with_quantized_gradient(&x, Some(settings(config))).unwrap().flatten(0, -1)).unwrap(),
            [1.0; 4]
        );
    }

    #[test]
    fn stochastic_gradients_have_no_bias() {
        tch::manual_seed(11);
        let config = QuantizerConfig { bits: Some(4), stochastic: Some(true), ..QuantizerConfig::default() };
        let gradient = Tensor::full([200_000], 0.31, (Kind::Float, tch::Device::Cpu));
        let _ = gradient.get(0).fill_(0.9);
        let rounded = quantized(&gradient, &settings(config)).unwrap();
        assert!((rounded.mean(Kind::Double).double_value(&[]) - 0.31).abs() < 1e-3);
        let step =
            step_of(&range::range(&rows::rows(&gradient, &settings(config)), &settings(config)), &settings(config));
        assert_eq!(exponents(&step), [-2]);
    }
}
