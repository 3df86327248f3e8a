use tch::{Kind, Tensor};

use super::range;
use crate::quantizer_config::{Granularity, QuantizerConfig, RangeMethod, Scheme};
use crate::torch::quantize::{Settings, exponent, rows, step_of};
use crate::torch::test_numbers::{normal, uniform};

fn settings(method: RangeMethod, scheme: Scheme) -> Settings {
    Settings::weights(QuantizerConfig { range: Some(method), ..QuantizerConfig::default() }, scheme)
}

fn of(x: &Tensor, settings: &Settings) -> Vec<f64> {
    Vec::try_from(range(&rows::rows(x, settings), settings).to_kind(Kind::Double)).unwrap()
}

fn one(method: RangeMethod, x: &[f32]) -> f64 {
    of(&Tensor::from_slice(x), &settings(method, Scheme::PowerOfTwo))[0]
}

#[test]
fn ranges_are_what_their_names_say() {
    let hundred: Vec<f32> = (1..=100).map(|i| if i % 2 == 0 { i as f32 } else { -(i as f32) }).collect();
    assert_eq!(one(RangeMethod::Max, &hundred), 100.0);
    assert_eq!(one(RangeMethod::TenPercent, &hundred), 90.0);
    let percentile = Settings { percentile: 95.0, ..settings(RangeMethod::Percentile, Scheme::PowerOfTwo) };
    assert_eq!(of(&Tensor::from_slice(&hundred), &percentile), [95.0]);
    // Mean 0, deviation 1 of four values; their greatest magnitude is the limit.
    assert_eq!(one(RangeMethod::ThreeSigma, &[1.0, -1.0, 1.0, -1.0]), 1.0);
    let spread = [vec![0.0; 98], vec![-7.0, 7.0]].concat();
    let expected = 3.0 * (2.0 * 49.0 / 100.0_f64).sqrt();
    assert!((one(RangeMethod::ThreeSigma, &spread) - expected).abs() < 1e-5);
}

/// Defect 6 of nics_fix: RANGE_MAX_TENPERCENT needs CUDA and fails under ten elements. Defect 7: RANGE_3SIGMA of one is NaN.
#[test]
fn every_method_has_a_range_for_few_values() {
    for scheme in [Scheme::PowerOfTwo, Scheme::Affine] {
        for method in RangeMethod::ALL {
            for values in [vec![0.25_f32], vec![-3.0], vec![0.5, -0.5], vec![0.0], vec![0.0; 9], vec![1e-30, -1e-30]] {
                let found = of(&Tensor::from_slice(&values), &settings(method, scheme));
                let greatest = values.iter().fold(0.0, |greatest: f64, x| greatest.max(f64::from(x.abs())));
                assert!(found.len() == 1 && found[0].is_finite(), "{method:?} of {values:?}: {found:?}");
                assert!(found[0] <= 2.0 * greatest + 1e-37, "{method:?} of {values:?}: {found:?}");
            }
        }
    }
}

/// Defect 7 of nics_fix: RANGE_3SIGMA ignores `group`.
#[test]
fn every_method_has_a_range_for_each_channel() {
    let x = Tensor::from_slice(&[1_f32, -1.0, 1.0, 8.0, -8.0, 8.0]).view([2, 3]);
    for method in RangeMethod::ALL {
        let channel = Settings { granularity: Granularity::Channel, ..settings(method, Scheme::PowerOfTwo) };
        let ranges = of(&x, &channel);
        assert_eq!(ranges.len(), 2, "{method:?}");
        assert!((ranges[1] / ranges[0] - 8.0).abs() < 1e-4, "{method:?}: {ranges:?}");
    }
}

/// Defect 11 of nics_fix: `group="channel"` reads the wrong axis.
#[test]
fn input_channels_are_the_second_dimension() {
    let x = Tensor::from_slice(&[1_f32, 4.0, 0.5, 2.0, 16.0, 0.25]).view([2, 3]);
    let grouped = |granularity| Settings { granularity, ..settings(RangeMethod::Max, Scheme::PowerOfTwo) };
    assert_eq!(of(&x, &grouped(Granularity::InputChannel)), [2.0, 16.0, 0.5]);
    assert_eq!(of(&x, &grouped(Granularity::Channel)), [4.0, 16.0]);
    assert_eq!(of(&x.view([6, 1]), &grouped(Granularity::Channels(2))), [4.0, 2.0, 16.0]);
}

/// Defect 8 of nics_fix: RANGE_SWEEP raises a NameError.
#[test]
fn a_sweep_takes_the_scale_with_the_least_error() {
    // Two bits have the codes -1, 0, 1: with one outlier among many ones, a quarter of its range is best.
    let mut values = vec![1_f32; 300];
    values.push(4.0);
    let two_bits = QuantizerConfig { bits: Some(2), range: Some(RangeMethod::Sweep), ..QuantizerConfig::default() };
    let settings = Settings::weights(two_bits, Scheme::PowerOfTwo);
    assert_eq!(of(&Tensor::from_slice(&values), &settings), [1.0]);
    assert_eq!(of(&Tensor::from_slice(&[4_f32, -4.0, 4.0]), &settings), [4.0]);
}

/// Every candidate by hand, in f64.
#[test]
fn the_mse_range_is_the_best_of_all_steps() {
    for bits in [2, 3, 4, 8] {
        let config = QuantizerConfig { bits: Some(bits), range: Some(RangeMethod::Mse), ..QuantizerConfig::default() };
        let settings = Settings::weights(config, Scheme::PowerOfTwo);
        let x = normal(bits.into(), &[500]);
        let step = step_of(&range(&x.view([1, -1]), &settings), &settings);
        let chosen = exponent::exponents(&step)[0];
        let values = Vec::<f32>::try_from(&x).unwrap();
        let error = |exponent: i32| -> f64 {
            let step = 2_f64.powi(exponent);
            let hi = f64::from(settings.codes.hi);
            values.iter().map(|x| f64::from(*x)).map(|x| ((x / step).round().clamp(-hi, hi) * step - x).powi(2)).sum()
        };
        let best = (-12..3).min_by(|a, b| error(*a).total_cmp(&error(*b))).unwrap();
        assert_eq!(chosen, best, "{bits} bits");
    }
}

#[test]
fn the_kl_range_cuts_off_a_lonely_outlier_and_keeps_a_whole_distribution() {
    let settings = settings(RangeMethod::Kl, Scheme::Affine);
    let bulk = uniform(5, &[20_000]) * 2.0 - 1.0;
    let whole = of(&bulk, &settings)[0];
    assert!(whole > 0.9, "{whole}");
    let outlier = of(&Tensor::cat(&[bulk, Tensor::from_slice(&[10_f32])], 0), &settings)[0];
    assert!(outlier < 3.0, "{outlier}");
}
