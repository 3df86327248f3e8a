//! Offset and shift of every feature, chosen from sounds. Spec 8 of `spec/front-end.md`.

use stepshift_runtime::front_end::FrontEnd;

use super::Tables;

/// Standard deviations around the mean that codes cover.
const COVERED_DEVIATIONS: f64 = 3.0;

/// Greatest shift that the file allows.
const MAX_SHIFT: u8 = 30;

/// What maps features to codes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Scaling {
    /// `[features]` in units of `2^-16` octaves.
    pub offsets: Vec<i32>,
    /// `[features]`: log2 of a code in these units.
    pub shifts: Vec<u8>,
}

impl Scaling {
    /// Codes of a sixteenth of an octave, for silence to be 0.
    #[must_use]
    pub fn plain(features: usize) -> Self {
        Self { offsets: vec![0; features], shifts: vec![12; features] }
    }

    /// The mean of each feature as its offset, and the least shift with which codes reach three standard deviations.
    ///
    /// sounds  i16 samples at the tables' rate; those shorter than a frame say nothing
    #[must_use]
    pub fn fit<'a>(tables: &Tables, sounds: impl IntoIterator<Item = &'a [i16]>) -> Self {
        let bytes = tables.encode(&Self::plain(tables.feature_count()));
        let front_end = FrontEnd::parse(&bytes).expect("tables are consistent");
        let mut moments = vec![Moments::default(); tables.feature_count()];
        let mut scratch = vec![0; front_end.scratch_len()];
        for sound in sounds {
            for row in 0..front_end.row_count(sound.len()) {
                let samples = &sound[row * front_end.hop_len()..][..front_end.frame_len()];
                front_end.real_features(samples, &mut scratch, |index, value| moments[index].add(value));
            }
        }
        Self {
            offsets: moments.iter().map(|moments| moments.mean().round() as i32).collect(),
            shifts: moments.iter().map(Moments::shift).collect(),
        }
    }
}

/// Sums of one feature; exact, so that their order does not matter.
#[derive(Debug, Clone, Default)]
struct Moments {
    count: u64,
    sum: i64,
    squares: u128,
}

impl Moments {
    fn add(&mut self, value: i32) {
        self.count += 1;
        self.sum += i64::from(value);
        self.squares += u128::from(value.unsigned_abs()).pow(2);
    }

    fn mean(&self) -> f64 {
        self.sum as f64 / self.count.max(1) as f64
    }

    fn shift(&self) -> u8 {
        let variance = self.squares as f64 / self.count.max(1) as f64 - self.mean().powi(2);
        let reach = COVERED_DEVIATIONS * variance.max(0.0).sqrt();
        (0..MAX_SHIFT).find(|shift| f64::from(127_u32) * f64::from(1_u32 << shift) >= reach).unwrap_or(MAX_SHIFT)
    }
}
