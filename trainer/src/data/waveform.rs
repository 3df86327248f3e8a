//! Random changes of sounds before the front end: shifts in time, white noise, and pieces of recorded background.

use std::path::Path;

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rand_distr::StandardNormal;
use serde::{Deserialize, Serialize};

use super::{DataError, FileInput};

/// Greatest sample in magnitude.
const FULL_SCALE: f64 = 32_768.0;

/// The changes that a config asks for.
#[derive(Debug, Clone, Copy, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct WaveformConfig {
    /// Greatest shift, earlier or later, in milliseconds; silence comes in.
    #[serde(default)]
    pub shift_ms: u32,
    /// Greatest deviation of white noise, as a share of full scale: each sound draws its own, from 0.
    #[serde(default)]
    pub noise: f64,
    /// Greatest factor of a piece of background that is added: each sound draws its own, from 0.
    #[serde(default)]
    pub background: f64,
    /// Share of the sounds that background is added to.
    #[serde(default = "all")]
    pub background_share: f64,
}

const fn all() -> f64 {
    1.0
}

impl WaveformConfig {
    /// Refuses what is out of range.
    ///
    /// clip_ms  milliseconds of a sound
    pub(super) fn check(&self, clip_ms: u32) -> Result<(), DataError> {
        if self.shift_ms >= clip_ms {
            let what = format!("is {}, it must be less than the {clip_ms} ms of a clip", self.shift_ms);
            return Err(DataError::option("augmentation.waveform.shift_ms", what));
        }
        let shares = [
            ("augmentation.waveform.noise", self.noise),
            ("augmentation.waveform.background", self.background),
            ("augmentation.waveform.background_share", self.background_share),
        ];
        match shares.into_iter().find(|(_, share)| !(0.0..=1.0).contains(share)) {
            Some((key, share)) => Err(DataError::option(key, format!("is {share}, it must be 0 to 1"))),
            None => Ok(()),
        }
    }
}

/// What changes sounds.
#[derive(Debug, Clone)]
pub(super) struct Changes {
    /// Greatest shift, in samples.
    pub(super) shift: usize,
    /// How much of what.
    pub(super) config: WaveformConfig,
    /// Clips of the background that may be added; some where the config asks for background.
    pub(super) background: Vec<FileInput>,
}

impl Changes {
    /// A sound as one reading has it: the same for the same seed.
    ///
    /// read  samples of a clip of the background, as many as `samples`
    pub(super) fn apply(
        &self,
        samples: &mut Vec<i16>,
        seed: u64,
        read: impl FnOnce(&Path, u32) -> Result<Vec<i16>, DataError>,
    ) -> Result<(), DataError> {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let WaveformConfig { noise, background, background_share, .. } = self.config;
        if self.shift > 0 {
            *samples = shifted(samples, self.shift, rng.random_range(0..=2 * self.shift));
        }
        let mut sum: Vec<f64> = samples.iter().copied().map(f64::from).collect();
        if background > 0.0 && rng.random_bool(background_share) {
            let factor = rng.random_range(0.0..=background);
            let piece = &self.background[rng.random_range(0..self.background.len())];
            let piece = read(&piece.path, piece.part)?;
            sum.iter_mut().zip(piece).for_each(|(sum, sample)| *sum += factor * f64::from(sample));
        }
        if noise > 0.0 {
            let deviation = FULL_SCALE * rng.random_range(0.0..=noise);
            sum.iter_mut().for_each(|sum| *sum += deviation * rng.sample::<f64, _>(StandardNormal));
        }
        samples.iter_mut().zip(sum).for_each(|(sample, sum)| *sample = (sum + 0.5).floor() as i16);
        Ok(())
    }
}

/// The samples from `place - margin` on, as many as there are; silence before the first and behind the last.
fn shifted(samples: &[i16], margin: usize, place: usize) -> Vec<i16> {
    let source = |index: usize| (index + place).checked_sub(margin).and_then(|index| samples.get(index));
    (0..samples.len()).map(|index| source(index).copied().unwrap_or(0)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOTHING: WaveformConfig = WaveformConfig { shift_ms: 0, noise: 0.0, background: 0.0, background_share: 1.0 };

    fn changed(shift: usize, config: WaveformConfig, samples: &[i16], seed: u64) -> Vec<i16> {
        let background = vec![FileInput { path: "hum.wav".into(), part: 3, label: 0 }];
        let mut samples = samples.to_vec();
        let piece = |path: &Path, part| {
            assert_eq!((path, part), (Path::new("hum.wav"), 3));
            Ok(vec![-10_000; 100])
        };
        Changes { shift, config, background }.apply(&mut samples, seed, piece).unwrap();
        samples
    }

    #[test]
    fn nothing_changes_where_nothing_is_asked_for() {
        let samples: Vec<i16> = (0..100).map(|n| n * 317 - 16_000).collect();
        assert_eq!(changed(0, NOTHING, &samples, 1), samples);
    }

    #[test]
    fn a_click_is_heard_earlier_or_later_and_silence_comes_in() {
        let mut samples = vec![0; 100];
        (samples[0], samples[50], samples[99]) = (7, 30_000, 9);
        let mut places = std::collections::BTreeSet::new();
        for seed in 0..200 {
            let got = changed(3, NOTHING, &samples, seed);
            assert_eq!(got, changed(3, NOTHING, &samples, seed), "the same seed");
            let place = got.iter().position(|sample| *sample == 30_000).unwrap();
            let ends = [place.checked_sub(50), Some(place + 49)].map(|end| end.filter(|end| *end < 100));
            let expected = [(ends[0], 7), (Some(place), 30_000), (ends[1], 9)];
            let others = got.iter().filter(|sample| **sample != 0).count();
            assert_eq!(others, expected.iter().filter(|(end, _)| end.is_some()).count());
            assert!(expected.iter().all(|(end, sample)| end.is_none_or(|end| got[end] == *sample)));
            places.insert(place);
        }
        assert_eq!(places.into_iter().collect::<Vec<_>>(), [47, 48, 49, 50, 51, 52, 53]);
    }

    #[test]
    fn background_is_added_to_its_share_by_up_to_its_factor() {
        let config = WaveformConfig { background: 0.5, background_share: 0.25, ..NOTHING };
        let sounds = (0..1000).map(|seed| changed(0, config, &[1000; 100], seed)).collect::<Vec<_>>();
        let with: Vec<i16> = sounds.iter().map(|sound| sound[0]).filter(|sample| *sample != 1000).collect();
        assert!((200..300).contains(&with.len()), "{} of 1000", with.len());
        assert!(sounds.iter().all(|sound| sound.iter().all(|sample| *sample == sound[0])));
        let (least, greatest) = (with.iter().min().unwrap(), with.iter().max().unwrap());
        assert!((-4000..-3800).contains(least) && (800..=1000).contains(greatest), "{least}, {greatest}");
    }

    #[test]
    fn noise_has_up_to_its_deviation_and_stays_in_the_range_of_samples() {
        let config = WaveformConfig { noise: 0.1, ..NOTHING };
        let deviation = |seed| {
            let sound = changed(0, config, &[0; 4000], seed);
            (sound.iter().map(|sample| f64::from(*sample).powi(2)).sum::<f64>() / 4000.0).sqrt()
        };
        let deviations: Vec<f64> = (0..100).map(deviation).collect();
        let greatest = deviations.iter().fold(0_f64, |greatest, deviation| greatest.max(*deviation));
        assert!((2900.0..3500.0).contains(&greatest), "{greatest}");
        assert!(deviations.iter().any(|deviation| *deviation < 500.0), "each sound has a deviation of its own");
        let loud = changed(0, config, &[i16::MAX; 4000], 5);
        assert!(loud.contains(&i16::MAX) && loud.iter().all(|sample| *sample > 0), "clipped, not wrapped");
    }

    #[test]
    fn changes_out_of_range_are_named() {
        let error = |config: WaveformConfig| config.check(1000).unwrap_err().to_string();
        assert_eq!(
            error(WaveformConfig { shift_ms: 1000, ..NOTHING }),
            "augmentation.waveform.shift_ms: is 1000, it must be less than the 1000 ms of a clip"
        );
        let loud = WaveformConfig { noise: 1.5, ..NOTHING };
        assert_eq!(error(loud), "augmentation.waveform.noise: is 1.5, it must be 0 to 1");
        assert!(NOTHING.check(1000).is_ok());
    }
}
