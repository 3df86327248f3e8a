//! The front end in integers: against an independent model in floating point, in pieces, and from damaged files.

use std::f64::consts::PI;
use std::fs;
use std::path::Path;

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use stepshift_runtime::crc32;
use stepshift_runtime::format::HEADER_BYTES;
use stepshift_runtime::front_end::{FeatureStream, FrontEnd, FrontEndError};
use stepshift_tests::sound;
use stepshift_trainer::front_end::{FrontEndConfig, Scaling, Tables};

const RATE: u32 = 16_000;

fn speech() -> FrontEndConfig {
    FrontEndConfig { coefficients: Some(10), ..FrontEndConfig::default() }
}

/// What a frame's real features are, from the definitions: a transform by its sum, filters in hertz, natural logarithms.
fn model(config: &FrontEndConfig, rate: f64, samples: &[i16], fft_len: usize) -> (Vec<f64>, f64) {
    let len = samples.len() as f64;
    let window = |n: usize| (PI * n as f64 / len).sin().powi(2);
    let energy = |k: usize| {
        let angle = |n: usize| -2.0 * PI * k as f64 * n as f64 / fft_len as f64;
        let part = |turn: fn(f64) -> f64| {
            samples.iter().enumerate().map(|(n, x)| f64::from(*x) * window(n) * turn(angle(n))).sum::<f64>()
        };
        part(f64::cos).powi(2) + part(f64::sin).powi(2)
    };
    let energies: Vec<f64> = (0..=fft_len / 2).map(energy).collect();
    let mel = |hertz: f64| 2595.0 * (1.0 + hertz / 700.0).log10();
    let (lower, upper) = (mel(config.lower_hz), mel(config.upper_hz));
    let distance = (upper - lower) / f64::from(config.channels + 1);
    let channel = |c: usize| {
        let centre = lower + distance * (c + 1) as f64;
        let weight = |k: usize| 1.0 - (mel(k as f64 * rate / fft_len as f64) - centre).abs() / distance;
        energies.iter().enumerate().map(|(k, energy)| weight(k).max(0.0) * energy).sum::<f64>()
    };
    // In the integers' unit: windows of 2^14, transforms divided by N, energies in 2^8, filters in 2^12.
    let unit = 2_f64.powi(32) / (fft_len as f64).powi(2);
    let channels = (0..config.channels.into()).map(|c| channel(c) * unit).collect();
    (channels, energies.iter().sum::<f64>() * unit)
}

fn cosines(config: &FrontEndConfig, logarithms: &[f64]) -> Vec<f64> {
    let count = logarithms.len() as f64;
    let cosine = |j: usize, c: usize| (PI / count * j as f64 * (c as f64 + 0.5)).cos() * (2.0 / count).sqrt();
    let rows = 0..usize::from(config.coefficients.unwrap());
    rows.map(|j| logarithms.iter().enumerate().map(|(c, value)| cosine(j, c) * value).sum()).collect()
}

fn real_features(bytes: &[u8], samples: &[i16]) -> Vec<f64> {
    let front_end = FrontEnd::parse(bytes).unwrap();
    let (mut scratch, mut features) = (vec![0; front_end.scratch_len()], Vec::new());
    front_end.real_features(samples, &mut scratch, |_, value| features.push(f64::from(value) / 65_536.0));
    features
}

/// Frames of every kind: tones, noise, a click, full scale of either sign, a single unit.
fn frames(len: usize) -> Vec<Vec<i16>> {
    let mut rng = ChaCha8Rng::seed_from_u64(7);
    let tone = |hertz: f64, loud: f64| {
        (0..len).map(|n| (loud * (2.0 * PI * hertz * n as f64 / f64::from(RATE)).sin()).round() as i16).collect()
    };
    let mut frames: Vec<Vec<i16>> = vec![tone(440.0, 32_767.0), tone(3000.0, 900.0), tone(150.0, 12.0)];
    for loudness in [32_767, 1000, 30, 2] {
        frames.push((0..len).map(|_| rng.random_range(-loudness..=loudness)).collect());
    }
    frames.push((0..len).map(|n| if n == len / 2 { i16::MIN } else { 0 }).collect());
    frames.extend([vec![i16::MIN; len], vec![i16::MAX; len], (0..len).map(|n| [i16::MIN, i16::MAX][n % 2]).collect()]);
    frames.push(sound::samples().take(len).collect());
    frames
}

#[test]
fn the_features_follow_an_independent_model_in_floating_point() {
    let configs = [
        (FrontEndConfig::default(), 16_000, 512),
        (FrontEndConfig { frame_ms: 25.0, channels: 23, upper_hz: 8000.0, ..FrontEndConfig::default() }, 16_000, 512),
        (FrontEndConfig { frame_ms: 32.0, channels: 8, ..FrontEndConfig::default() }, 8_000, 256),
        (
            FrontEndConfig {
                channels: 40,
                frame_ms: 20.0,
                upper_hz: 20_000.0,
                lower_hz: 300.0,
                ..FrontEndConfig::default()
            },
            48_000,
            1024,
        ),
        (
            FrontEndConfig { frame_ms: 1.0, hop_ms: 1.0, channels: 3, upper_hz: 8000.0, ..FrontEndConfig::default() },
            16_000,
            32,
        ),
    ];
    let (mut near, mut weak) = (0, 0);
    for (config, rate, fft_len) in configs {
        let tables = Tables::new(&config, rate).unwrap();
        let bytes = tables.encode(&Scaling::plain(tables.feature_count()));
        for (number, samples) in frames(FrontEnd::parse(&bytes).unwrap().frame_len()).iter().enumerate() {
            let (expected, total) = model(&config, rate.into(), samples, fft_len);
            for (channel, (got, energy)) in real_features(&bytes, samples).iter().zip(&expected).enumerate() {
                let place = format!("{fft_len} samples, frame {number}, channel {channel}: {got}, exactly {energy:e}");
                // Below this floor, 70 dB under the whole and 2^23 in itself, sines of 16 bits and roundings may be heard.
                let floor = (total * 1e-7).max(2_f64.powi(23));
                if *energy > floor {
                    near += 1;
                    assert!((got - energy.log2()).abs() < 0.02, "{place}");
                } else {
                    weak += 1;
                    assert!(*got <= floor.log2() + 0.5, "{place}");
                }
            }
        }
    }
    assert!(near > 500 && weak > 100, "{near} channels were compared closely, {weak} by their floor");
}

/// Half of the amplitude is a quarter of the energy, in the longest transform at full scale as well.
#[test]
fn full_scale_does_not_overflow_the_longest_transform() {
    let config = FrontEndConfig { frame_ms: 256.0, upper_hz: 8000.0, ..FrontEndConfig::default() };
    let tables = Tables::new(&config, RATE).unwrap();
    let bytes = tables.encode(&Scaling::plain(40));
    for samples in frames(4096).into_iter().filter(|samples| samples.iter().any(|x| x.unsigned_abs() > 32_000)) {
        let halved: Vec<i16> = samples.iter().map(|x| x / 2).collect();
        let (loud, soft) = (real_features(&bytes, &samples), real_features(&bytes, &halved));
        let greatest = loud.iter().copied().fold(0.0, f64::max);
        for (loud, soft) in loud.iter().zip(soft) {
            let difference = loud - soft;
            assert!(*loud < greatest - 20.0 || (difference - 2.0).abs() < 0.02, "{loud} and {soft}");
        }
    }
}

#[test]
fn cepstral_coefficients_are_the_cosine_transform_of_the_logarithms() {
    let config = speech();
    let tables = Tables::new(&config, RATE).unwrap();
    let bytes = tables.encode(&Scaling::plain(10));
    let mel = Tables::new(&FrontEndConfig::default(), RATE).unwrap();
    let mel_bytes = mel.encode(&Scaling::plain(40));
    for samples in frames(480) {
        let expected = cosines(&config, &real_features(&mel_bytes, &samples));
        for (got, expected) in real_features(&bytes, &samples).iter().zip(expected) {
            // 40 logarithms up to 60, cosines off by 2^-16 each.
            assert!((got - expected).abs() < 0.02, "{got} against {expected}");
        }
    }
}

#[test]
fn codes_are_features_with_offset_and_shift() {
    let tables = Tables::new(&speech(), RATE).unwrap();
    let sound: Vec<i16> = sound::samples().take(32_000).collect();
    let scaling = Scaling::fit(&tables, [&sound[..]]);
    let bytes = tables.encode(&scaling);
    let front_end = FrontEnd::parse(&bytes).unwrap();
    let (mut scratch, mut codes) = (vec![0; front_end.scratch_len()], [0; 10]);
    let (mut saturated, mut sums) = (0, [0_i64; 10]);
    let rows = front_end.row_count(sound.len());
    for row in 0..rows {
        let samples = &sound[row * 320..][..480];
        front_end.features(samples, &mut scratch, &mut codes);
        for (j, real) in real_features(&bytes, samples).iter().enumerate() {
            let value = real * 65_536.0 - f64::from(scaling.offsets[j]);
            let expected = (value / 2_f64.powi(scaling.shifts[j].into()) + 0.5).floor().clamp(-128.0, 127.0);
            assert_eq!(f64::from(codes[j]), expected, "row {row}, feature {j}");
            saturated += usize::from([127, -128].contains(&codes[j]));
            sums[j] += i64::from(codes[j]);
        }
    }
    assert!(saturated < rows / 5, "{saturated} of {} codes are at an end", rows * 10);
    assert!(sums.iter().all(|sum| sum.unsigned_abs() < 3 * rows as u64), "codes are not centred: {sums:?}");
}

#[test]
fn a_stream_gives_the_rows_of_the_whole() {
    let bytes = fs::read(speech_file()).unwrap();
    let front_end = FrontEnd::parse(&bytes).unwrap();
    let sound: Vec<i16> = sound::samples().take(20_000).collect();
    let (mut scratch, mut row) = (vec![0; front_end.scratch_len()], [0; 10]);
    let whole: Vec<[i8; 10]> = (0..front_end.row_count(sound.len()))
        .map(|index| {
            front_end.features(&sound[index * 320..][..480], &mut scratch, &mut row);
            row
        })
        .collect();
    assert_eq!(whole.len(), 62);
    let mut rng = ChaCha8Rng::seed_from_u64(1);
    let mut frame = vec![0; front_end.frame_len()];
    let mut stream = FeatureStream::new(front_end, &mut frame, &mut scratch).unwrap();
    let (mut rest, mut rows) = (&sound[..], Vec::new());
    while !rest.is_empty() {
        let (mut piece, later) = rest.split_at(rng.random_range(0..=2000).min(rest.len()));
        while stream.next_row(&mut piece, &mut row) {
            rows.push(row);
        }
        assert!(piece.is_empty());
        rest = later;
    }
    assert!(rows == whole);
}

#[test]
fn a_stream_refuses_short_memory() {
    let bytes = fs::read(speech_file()).unwrap();
    let front_end = FrontEnd::parse(&bytes).unwrap();
    let (mut frame, mut scratch) = ([0; 480], [0; 552]);
    assert!(FeatureStream::new(front_end, &mut frame, &mut scratch).is_ok());
    for (frame_len, scratch_len) in [(479, 552), (480, 551)] {
        let error = FeatureStream::new(front_end, &mut frame[..frame_len], &mut scratch[..scratch_len]).unwrap_err();
        assert_eq!(error, FrontEndError::BufferTooSmall);
    }
}

/// With a checksum that fits again, what is left of a file either is refused or computes features without a panic.
#[test]
fn damaged_front_ends_are_refused() {
    let bytes = fs::read(speech_file()).unwrap();
    assert_eq!(FrontEnd::parse(&bytes[..5]), Err(FrontEndError::NotAFrontEnd));
    assert_eq!(FrontEnd::parse(&[b"STSH", &bytes[4..]].concat()), Err(FrontEndError::NotAFrontEnd));
    let newer = [&bytes[..4], &[2], &bytes[5..]].concat();
    assert_eq!(FrontEnd::parse(&newer), Err(FrontEndError::Version { found: 2 }));
    for index in 6..bytes.len() {
        let mut damaged = bytes.clone();
        damaged[index] ^= 1;
        assert!(matches!(FrontEnd::parse(&damaged), Err(FrontEndError::Checksum { .. })), "byte {index}");
    }
    let mut rng = ChaCha8Rng::seed_from_u64(2);
    let (mut refused, mut computed) = (0, 0);
    for round in 0..3000 {
        let mut damaged = bytes.clone();
        // The first bytes are sizes: they are hit as often as all tables.
        let end = if round % 2 == 0 { 40 } else { damaged.len() };
        for _ in 0..rng.random_range(1..4) {
            damaged[rng.random_range(HEADER_BYTES..end)] = rng.random();
        }
        if round % 7 == 0 {
            damaged.truncate(rng.random_range(HEADER_BYTES..damaged.len()));
        }
        let crc = crc32(&damaged[HEADER_BYTES..]);
        damaged[6..10].copy_from_slice(&crc.to_le_bytes());
        let Ok(front_end) = FrontEnd::parse(&damaged) else {
            refused += 1;
            continue;
        };
        computed += 1;
        let samples = vec![[i16::MIN, i16::MAX][round % 2]; front_end.frame_len()];
        let mut features = vec![0; front_end.feature_count()];
        front_end.features(&samples, &mut vec![0; front_end.scratch_len()], &mut features);
    }
    assert!(refused > 500 && computed > 500, "{refused} refused, {computed} computed");
}

#[test]
fn impossible_front_ends_are_refused_by_key() {
    let error = |config: FrontEndConfig, rate| Tables::new(&config, rate).unwrap_err().to_string();
    let base = FrontEndConfig::default();
    let cases = [
        (
            FrontEndConfig { frame_ms: 300.0, ..base },
            "front_end.frame_ms is 300: 4800 samples at 16000 Hz, it must be 1 to 4096",
        ),
        (
            FrontEndConfig { hop_ms: 31.0, ..base },
            "front_end.hop_ms is 31: 496 samples at 16000 Hz, it must be 1 to 480",
        ),
        (
            FrontEndConfig { hop_ms: f64::NAN, ..base },
            "front_end.hop_ms is NaN: NaN samples at 16000 Hz, it must be 1 to 480",
        ),
        (FrontEndConfig { channels: 0, ..base }, "front_end.channels is 0, it must be 1 to 128"),
        (
            FrontEndConfig { coefficients: Some(41), ..base },
            "front_end.coefficients is 41, it must be 1 to channels, 40",
        ),
        (
            FrontEndConfig { upper_hz: 8001.0, ..base },
            "front_end.lower_hz is 20 and upper_hz 8001: they must rise, from 0 to half of the sample rate, 8000",
        ),
        (
            FrontEndConfig { channels: 100, ..base },
            "front_end.channels is 100: channel 1 holds no bin of a transform of 512 samples; take fewer channels, a \
             longer frame or a greater lower_hz",
        ),
    ];
    for (config, expected) in cases {
        assert_eq!(error(config, RATE), expected);
    }
}

fn speech_file() -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../runtime/testdata/speech.front-end")
}

/// `STEPSHIFT_OVERWRITE=1 cargo test -p stepshift-tests --test front_end` writes the file anew, which is right only
/// together with a new version.
#[test]
fn the_front_end_of_the_examples_is_written_as_ever() {
    let tables = Tables::new(&speech(), RATE).unwrap();
    let sound: Vec<i16> = sound::samples().take(96_000).collect();
    let written = tables.encode(&Scaling::fit(&tables, [&sound[..]]));
    if std::env::var_os("STEPSHIFT_OVERWRITE").is_some() {
        fs::write(speech_file(), &written).unwrap();
    }
    assert!(fs::read(speech_file()).unwrap() == written, "the file differs from what is written today");
}
