//! What a front end's file holds, computed in f64. Spec 2 to 7 of `spec/front-end.md`.

use std::f64::consts::PI;

use anyhow::{Result, ensure};
use stepshift_runtime::crc32;
use stepshift_runtime::format::{HEADER_BYTES, Header};
use stepshift_runtime::front_end::{
    COSINE_BITS, FILTER_BITS, FRONT_END_MAGIC, FRONT_END_VERSION, FrontEndFile, FrontEndNeeds, SINE_BITS, WINDOW_BITS,
};

use super::{FrontEndConfig, Scaling};

/// log2 of the least and of the greatest length of a transform.
const MIN_FFT_LOG2: u32 = 5;
pub(super) const MAX_FFT_LOG2: u32 = 12;

/// The tables of a front end, without the scaling of its features.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tables {
    sample_rate: u32,
    hop_len: u16,
    fft_log2: u8,
    feature_count: u16,
    window: Vec<u16>,
    sines: Vec<u16>,
    edges: Vec<u16>,
    rises: Vec<u16>,
    cosines: Vec<i16>,
}

impl Tables {
    /// Computes the tables.
    ///
    /// # Errors
    /// Names the key of the config, the value and what would be right.
    pub fn new(config: &FrontEndConfig, sample_rate: u32) -> Result<Self> {
        config.check(sample_rate)?;
        let (frame_len, hop_len) = config.lengths(sample_rate)?;
        let fft_log2 = u32::from(frame_len).next_power_of_two().ilog2().max(MIN_FFT_LOG2);
        let fft_len = 1_usize << fft_log2;
        let (edges, rises) = filters(config, sample_rate, fft_len)?;
        Ok(Self {
            sample_rate,
            hop_len,
            fft_log2: fft_log2 as u8,
            feature_count: config.feature_count() as u16,
            window: hann(frame_len.into()),
            sines: (0..=fft_len / 4).map(|k| fixed((2.0 * PI * k as f64 / fft_len as f64).sin(), SINE_BITS)).collect(),
            edges,
            rises,
            cosines: config.coefficients.map_or(Vec::new(), |count| cosines(count.into(), config.channels.into())),
        })
    }

    /// Features of a frame.
    #[must_use]
    pub fn feature_count(&self) -> usize {
        self.feature_count.into()
    }

    /// The file, with the scaling of every feature.
    ///
    /// # Panics
    /// Where the scaling is one of another number of features.
    #[must_use]
    pub fn encode(&self, scaling: &Scaling) -> Vec<u8> {
        assert_eq!(scaling.shifts.len(), self.feature_count(), "one offset and shift for each feature");
        let halves = |table: &[u16]| table.iter().flat_map(|entry| entry.to_le_bytes()).collect::<Vec<u8>>();
        let (window, sines) = (halves(&self.window), halves(&self.sines));
        let (edges, rises) = (halves(&self.edges), halves(&self.rises));
        let cosines: Vec<u8> = self.cosines.iter().flat_map(|entry| entry.to_le_bytes()).collect();
        let offsets: Vec<u8> = scaling.offsets.iter().flat_map(|entry| entry.to_le_bytes()).collect();
        let mut file = FrontEndFile {
            header: Header { magic: FRONT_END_MAGIC, version: FRONT_END_VERSION, crc: 0 },
            needs: FrontEndNeeds {
                frame_len: self.window.len() as u16,
                scratch_len: (1 << self.fft_log2) + self.edges.len() as u16 - 2,
                feature_count: self.feature_count,
            },
            sample_rate: self.sample_rate,
            hop_len: self.hop_len,
            fft_log2: self.fft_log2,
            window: &window,
            sines: &sines,
            edges: &edges,
            rises: &rises,
            cosines: &cosines,
            offsets: &offsets,
            shifts: &scaling.shifts,
        };
        let bytes = postcard::to_stdvec(&file).expect("a vector grows as needed");
        file.header.crc = crc32(&bytes[HEADER_BYTES..]);
        postcard::to_stdvec(&file).expect("a vector grows as needed")
    }
}

/// A real at `2^-bits`, rounded half up. Spec 1.
fn fixed(real: f64, bits: u8) -> u16 {
    (real * f64::from(1_u32 << bits) + 0.5).floor() as u16
}

/// A periodic Hann window. Spec 2.
fn hann(len: usize) -> Vec<u16> {
    (0..len).map(|n| fixed(0.5 - 0.5 * (2.0 * PI * n as f64 / len as f64).cos(), WINDOW_BITS)).collect()
}

/// The mel scale of O'Shaughnessy, as the HTK Book has it (section 5.4).
fn mel(hertz: f64) -> f64 {
    1127.0 * (hertz / 700.0).ln_1p()
}

/// First bin at or past each edge, and how far each bin's triangle has risen. Spec 5.
fn filters(config: &FrontEndConfig, sample_rate: u32, fft_len: usize) -> Result<(Vec<u16>, Vec<u16>)> {
    let (lower, upper) = (mel(config.lower_hz), mel(config.upper_hz));
    let width = (upper - lower) / (f64::from(config.channels) + 1.0);
    let place = |bin: usize| (mel(bin as f64 * f64::from(sample_rate) / fft_len as f64) - lower) / width;
    let last = usize::from(config.channels) + 1;
    let first_bin = |edge: usize| (0..=fft_len / 2).find(|bin| place(*bin) >= edge as f64).unwrap_or(fft_len / 2 + 1);
    let edges: Vec<usize> = (0..=last).map(first_bin).collect();
    for channel in 0..usize::from(config.channels) {
        ensure!(
            edges[channel] < edges[channel + 2],
            "front_end.channels is {}: channel {channel} holds no bin of a transform of {fft_len} samples; take fewer \
             channels, a longer frame or a greater lower_hz",
            config.channels
        );
    }
    let rise = |bin: usize| fixed(place(bin).rem_euclid(1.0), FILTER_BITS);
    let rises = (edges[0]..edges[last]).map(rise).collect();
    Ok((edges.into_iter().map(|edge| edge as u16).collect(), rises))
}

/// The first rows of an orthonormal DCT-II; without the root of 1/2 in the first. Spec 7.
fn cosines(count: usize, channels: usize) -> Vec<i16> {
    let scale = (2.0 / channels as f64).sqrt();
    let cosine = |row: usize, column: usize| scale * (PI * row as f64 * (column as f64 + 0.5) / channels as f64).cos();
    let code = |real: f64| (real * f64::from(1_u32 << COSINE_BITS) + 0.5).floor().clamp(-32_768.0, 32_767.0) as i16;
    (0..count).flat_map(|row| (0..channels).map(move |column| code(cosine(row, column)))).collect()
}
