//! What the training loop records of every pass.

use std::path::Path;

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};

use crate::atomic_file;
use crate::score::Score;

/// Bins of a histogram.
const BINS: usize = 48;

/// One pass.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Observation {
    /// `float` or `quantized`.
    pub phase: String,
    /// Its number in its phase, from 1.
    pub epoch: usize,
    /// Mean training loss.
    pub loss: f64,
    /// On the test inputs.
    #[serde(flatten)]
    pub score: Score,
    /// The rate of the pass's last step.
    pub learning_rate: f64,
    /// Layer by layer.
    pub layers: Vec<LayerObservation>,
}

/// One layer behind a pass.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LayerObservation {
    /// Its name.
    pub name: String,
    /// log2 of the step of its output, once it is quantized.
    pub exponent: Option<i32>,
    /// Least and greatest log2 of the steps of its weights, once they are quantized.
    pub weight_exponents: Option<(i32, i32)>,
    /// Of its weights.
    pub weights: Option<Histogram>,
    /// Of its output on some test inputs.
    pub activations: Option<Histogram>,
}

/// Counts of values in bins of one width, with the moments that TensorBoard asks for.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Histogram {
    /// Least value.
    pub min: f64,
    /// Greatest value.
    pub max: f64,
    /// Sum of the values.
    pub sum: f64,
    /// Sum of their squares.
    pub sum_squares: f64,
    /// Values in each bin, from the least on.
    pub counts: Vec<u64>,
}

impl Histogram {
    /// Counts values; `None` where there are none or one is not finite.
    #[must_use]
    pub fn of(values: &[f32]) -> Option<Self> {
        let wide = || values.iter().copied().map(f64::from);
        let (min, max) = wide().fold((f64::INFINITY, f64::NEG_INFINITY), |(min, max), x| (min.min(x), max.max(x)));
        if !(min.is_finite() && max.is_finite() && wide().all(f64::is_finite)) {
            return None;
        }
        let mut counts = vec![0; BINS];
        let width = (max - min) / BINS as f64;
        for value in wide() {
            let bin = if width > 0.0 { ((value - min) / width) as usize } else { 0 };
            counts[bin.min(BINS - 1)] += 1;
        }
        Some(Self { min, max, sum: wide().sum(), sum_squares: wide().map(|x| x * x).sum(), counts })
    }

    /// Number of values.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.counts.iter().sum()
    }

    /// Upper end of a bin.
    #[must_use]
    pub fn limit(&self, bin: usize) -> f64 {
        if bin + 1 >= self.counts.len() {
            return self.max;
        }
        self.min + (self.max - self.min) * (bin + 1) as f64 / self.counts.len() as f64
    }
}

/// Reads the observations of a run's folder; none where it has no such file.
///
/// # Errors
/// Names the file and what is wrong with it.
pub fn read(path: &Path) -> Result<Vec<Observation>> {
    if !path.exists() {
        return Ok(Vec::new());
    }
    let text = std::fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
    serde_json::from_slice(&text).with_context(|| format!("{} holds no observations", path.display()))
}

/// Writes the observations of a run, atomically.
///
/// # Errors
/// Where the file cannot be written.
pub fn write(path: &Path, observations: &[Observation]) -> Result<()> {
    atomic_file::write(path, &serde_json::to_vec(observations)?)
}

/// Exponents as a CSV file: a line for each layer of each pass.
///
/// # Errors
/// None in practice: a vector grows as needed.
pub fn layers_csv(observations: &[Observation]) -> Result<Vec<u8>> {
    let mut csv = csv::Writer::from_writer(Vec::new());
    csv.write_record(["phase", "epoch", "layer", "exponent", "least_weight_exponent", "greatest_weight_exponent"])?;
    for pass in observations {
        for layer in &pass.layers {
            let number = |number: Option<i32>| number.map_or(String::new(), |number| number.to_string());
            let (least, greatest) = layer.weight_exponents.unzip();
            let epoch = pass.epoch.to_string();
            let numbers = [number(layer.exponent), number(least), number(greatest)];
            let [exponent, least, greatest] = numbers.each_ref().map(String::as_str);
            csv.write_record([&pass.phase, epoch.as_str(), &layer.name, exponent, least, greatest])?;
        }
    }
    Ok(csv.into_inner()?)
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// Two passes in float and three quantized, of two layers, one with weights.
    pub(in crate::report) fn observations() -> Vec<Observation> {
        let pass = |index: usize| {
            let quantized = index >= 2;
            let spread = 1.0 + index as f32 / 4.0;
            let values: Vec<f32> = (0..200).map(|i| spread * ((i * i) as f32 * 0.37).sin()).collect();
            Observation {
                phase: if quantized { "quantized" } else { "float" }.to_owned(),
                epoch: if quantized { index - 1 } else { index + 1 },
                loss: 2.3 / (index + 1) as f64,
                score: Score::Accuracy(99.0 - 40.0 / (index + 1) as f64),
                learning_rate: 0.1 / (index + 1) as f64,
                layers: vec![
                    LayerObservation {
                        name: "conv1".to_owned(),
                        exponent: quantized.then_some(-5 + index as i32 / 3),
                        weight_exponents: quantized.then_some((-9, -7)),
                        weights: Histogram::of(&values),
                        activations: Histogram::of(&values.iter().map(|x| x.max(0.0)).collect::<Vec<_>>()),
                    },
                    LayerObservation {
                        name: "pool <a> & b".to_owned(),
                        exponent: quantized.then_some(-5),
                        weight_exponents: None,
                        weights: None,
                        activations: Histogram::of(&[0.5; 30]),
                    },
                ],
            }
        };
        (0..5).map(pass).collect()
    }

    #[test]
    fn a_histogram_counts_every_value_once() {
        let values = [-1.0, -1.0, 0.0, 0.5, 3.0];
        let histogram = Histogram::of(&values).unwrap();
        assert_eq!(histogram.count(), 5);
        assert_eq!((histogram.min, histogram.max, histogram.sum, histogram.sum_squares), (-1.0, 3.0, 1.5, 11.25));
        assert_eq!((histogram.counts[0], histogram.counts[BINS - 1]), (2, 1));
        // 0 is at a quarter of the range: the bin whose upper end is the first above it.
        let bin = (0..BINS).find(|bin| histogram.limit(*bin) > 0.0).unwrap();
        assert_eq!(histogram.counts[bin], 1);
        assert_eq!(Histogram::of(&[2.0; 4]).unwrap().counts[0], 4);
        assert!(Histogram::of(&[]).is_none() && Histogram::of(&[f32::NAN]).is_none());
        assert!(Histogram::of(&[f32::INFINITY, 1.0]).is_none());
    }

    #[test]
    fn observations_are_read_as_they_were_written() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("observations.json");
        assert_eq!(read(&path).unwrap(), []);
        write(&path, &observations()).unwrap();
        assert_eq!(read(&path).unwrap(), observations());
        std::fs::write(&path, "[{").unwrap();
        assert!(read(&path).unwrap_err().to_string().ends_with("observations.json holds no observations"));
    }

    #[test]
    fn exponents_are_lines_of_a_csv_file() {
        let text = String::from_utf8(layers_csv(&observations()).unwrap()).unwrap();
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines.len(), 11);
        assert_eq!(lines[1], "float,1,conv1,,,");
        assert_eq!(lines[9], "quantized,3,conv1,-4,-9,-7");
        assert_eq!(lines[10], "quantized,3,pool <a> & b,-5,,");
    }
}
