//! TensorBoard's event files: records of TFRecord, each a message `Event` of `tensorflow/core/util/event.proto`.
//!
//! The few fields that are needed are written by hand: a generator would bring a compiler of its own.

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result};
use crc::{CRC_32_ISCSI, Crc};

use super::{Histogram, Observation};

const CRC: Crc<u32> = Crc::<u32>::new(&CRC_32_ISCSI);

/// An event file; every pass is appended when it is over.
#[derive(Debug)]
pub struct EventFile {
    path: PathBuf,
    file: File,
}

impl EventFile {
    /// Begins a file in a folder, named by the time: TensorBoard reads all files of a folder as one run.
    ///
    /// # Errors
    /// Where the file cannot be made.
    pub fn create(folder: &Path) -> Result<Self> {
        let path = free_path(folder);
        let file = OpenOptions::new().write(true).create_new(true).open(&path);
        let file = file.with_context(|| format!("cannot make {}", path.display()))?;
        let mut events = Self { path, file };
        events.append(&event(0, |message| message.bytes(3, b"brain.Event:2")))?;
        Ok(events)
    }

    /// Writes a pass.
    ///
    /// step  passes before this one, in both phases
    ///
    /// # Errors
    /// Where the file cannot be written.
    pub fn write(&mut self, step: usize, pass: &Observation) -> Result<()> {
        let mut summary = Message::default();
        for (tag, value) in [
            ("train/loss", pass.loss),
            (&format!("test/{}", pass.score.key()), pass.score.value()),
            ("train/learning_rate", pass.learning_rate),
        ] {
            summary.scalar(tag, value);
        }
        for layer in &pass.layers {
            if let Some(exponent) = layer.exponent {
                summary.scalar(&format!("exponents/{}", layer.name), f64::from(exponent));
            }
            for (kind, histogram) in [("weights", &layer.weights), ("activations", &layer.activations)] {
                if let Some(histogram) = histogram {
                    summary.histogram(&format!("{kind}/{}", layer.name), histogram);
                }
            }
        }
        self.append(&event(step as u64, |message| message.bytes(5, &summary.bytes)))
    }

    fn append(&mut self, event: &[u8]) -> Result<()> {
        let written = self.file.write_all(&record(event)).and_then(|()| self.file.flush());
        written.with_context(|| format!("cannot write {}", self.path.display()))
    }
}

/// A name that no file has: two runs of one second must not share one.
fn free_path(folder: &Path) -> PathBuf {
    let seconds = now() as u64;
    let path = |number: u32| folder.join(format!("events.out.tfevents.{seconds:010}.{number}.stepshift"));
    (0..).map(path).find(|path| !path.exists()).unwrap_or_default()
}

fn now() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0.0, |time| time.as_secs_f64())
}

/// Length and contents, each with its masked CRC-32C.
fn record(data: &[u8]) -> Vec<u8> {
    let length = (data.len() as u64).to_le_bytes();
    [&length[..], &masked(&length), data, &masked(data)].concat()
}

/// TFRecord's mask: rotated by 15, and a constant added.
fn masked(data: &[u8]) -> [u8; 4] {
    CRC.checksum(data).rotate_right(15).wrapping_add(0xa282_ead8).to_le_bytes()
}

fn event(step: u64, fill: impl FnOnce(&mut Message)) -> Vec<u8> {
    let mut message = Message::default();
    message.double(1, now());
    message.number(2, step);
    fill(&mut message);
    message.bytes
}

/// A message of protocol buffers as it grows.
#[derive(Debug, Default)]
struct Message {
    bytes: Vec<u8>,
}

impl Message {
    fn varint(&mut self, mut value: u64) {
        while value >= 0x80 {
            self.bytes.push((value as u8 & 0x7f) | 0x80);
            value >>= 7;
        }
        self.bytes.push(value as u8);
    }

    fn key(&mut self, field: u64, wire_type: u64) {
        self.varint(field << 3 | wire_type);
    }

    fn number(&mut self, field: u64, value: u64) {
        self.key(field, 0);
        self.varint(value);
    }

    fn double(&mut self, field: u64, value: f64) {
        self.key(field, 1);
        self.bytes.extend(value.to_le_bytes());
    }

    fn float(&mut self, field: u64, value: f32) {
        self.key(field, 5);
        self.bytes.extend(value.to_le_bytes());
    }

    fn bytes(&mut self, field: u64, value: &[u8]) {
        self.key(field, 2);
        self.varint(value.len() as u64);
        self.bytes.extend(value);
    }

    /// `Summary.Value` with a tag and a simple value.
    fn scalar(&mut self, tag: &str, value: f64) {
        let mut inner = Self::default();
        inner.bytes(1, tag.as_bytes());
        inner.float(2, value as f32);
        self.bytes(1, &inner.bytes);
    }

    /// `Summary.Value` with a tag and a `HistogramProto`.
    fn histogram(&mut self, tag: &str, histogram: &Histogram) {
        let mut proto = Self::default();
        let count = histogram.count() as f64;
        let moments = [histogram.min, histogram.max, count, histogram.sum, histogram.sum_squares];
        for (field, value) in (1..).zip(moments) {
            proto.double(field, value);
        }
        let limits = (0..histogram.counts.len()).flat_map(|bin| histogram.limit(bin).to_le_bytes());
        proto.bytes(6, &limits.collect::<Vec<u8>>());
        let counts = histogram.counts.iter().flat_map(|count| (*count as f64).to_le_bytes());
        proto.bytes(7, &counts.collect::<Vec<u8>>());
        let mut inner = Self::default();
        inner.bytes(1, tag.as_bytes());
        inner.bytes(5, &proto.bytes);
        self.bytes(1, &inner.bytes);
    }
}

#[cfg(test)]
mod tests {
    use super::super::observation::tests::observations;
    use super::*;

    /// The check value that the catalogue of CRC algorithms gives for "123456789", masked by hand.
    #[test]
    fn checksums_are_masked_as_tensorboard_masks_them() {
        assert_eq!(CRC.checksum(b"123456789"), 0xe306_9283);
        assert_eq!(masked(b"123456789"), 0xc78a_b0e5_u32.to_le_bytes());
    }

    /// Fields of a message: number, and the bytes of its value.
    fn fields(mut bytes: &[u8]) -> Vec<(u64, Vec<u8>)> {
        fn varint(bytes: &mut &[u8]) -> u64 {
            let end = bytes.iter().position(|byte| *byte < 0x80).unwrap();
            let (taken, rest) = bytes.split_at(end + 1);
            *bytes = rest;
            taken.iter().rev().fold(0, |value, byte| value << 7 | u64::from(byte & 0x7f))
        }
        let mut found = Vec::new();
        while !bytes.is_empty() {
            let key = varint(&mut bytes);
            let len = match key & 7 {
                0 => {
                    found.push((key >> 3, varint(&mut bytes).to_le_bytes().to_vec()));
                    continue;
                }
                1 => 8,
                5 => 4,
                _ => varint(&mut bytes) as usize,
            };
            found.push((key >> 3, bytes[..len].to_vec()));
            bytes = &bytes[len..];
        }
        found
    }

    fn double(bytes: &[u8]) -> f64 {
        f64::from_le_bytes(bytes.try_into().unwrap())
    }

    #[test]
    fn an_event_file_holds_every_pass() {
        let folder = tempfile::tempdir().unwrap();
        let mut events = EventFile::create(folder.path()).unwrap();
        let second = EventFile::create(folder.path()).unwrap();
        assert_ne!(events.path, second.path);
        for (step, pass) in observations().iter().enumerate() {
            events.write(step, pass).unwrap();
        }
        let bytes = std::fs::read(&events.path).unwrap();
        let (mut rest, mut records) = (&bytes[..], Vec::new());
        while !rest.is_empty() {
            let len = u64::from_le_bytes(rest[..8].try_into().unwrap()) as usize;
            assert_eq!(rest[8..12], masked(&rest[..8]));
            let data = &rest[12..12 + len];
            assert_eq!(rest[12 + len..16 + len], masked(data));
            records.push(fields(data));
            rest = &rest[16 + len..];
        }
        assert_eq!(records.len(), 6);
        assert_eq!(records[0].last().unwrap(), &(3, b"brain.Event:2".to_vec()));
        let last = &records[5];
        assert!(double(&last[0].1) > 1.6e9);
        assert_eq!(last[1], (2, 4_u64.to_le_bytes().to_vec()));
        let values: Vec<_> = fields(&last[2].1).into_iter().map(|(_, value)| fields(&value)).collect();
        let tag = |value: &[(u64, Vec<u8>)]| String::from_utf8(value[0].1.clone()).unwrap();
        let tags: Vec<String> = values.iter().map(|value| tag(value)).collect();
        let expected = [
            "train/loss",
            "test/accuracy",
            "train/learning_rate",
            "exponents/conv1",
            "weights/conv1",
            "activations/conv1",
            "exponents/pool <a> & b",
            "activations/pool <a> & b",
        ];
        assert_eq!(tags, expected);
        assert_eq!(f32::from_le_bytes(values[1][1].1[..].try_into().unwrap()), 91.0);
        let histogram = fields(&values[4][1].1);
        assert_eq!(double(&histogram[2].1), 200.0);
        let counts: Vec<f64> = histogram[6].1.chunks(8).map(double).collect();
        let limits: Vec<f64> = histogram[5].1.chunks(8).map(double).collect();
        assert_eq!((counts.iter().sum::<f64>(), limits.len()), (200.0, counts.len()));
        assert!(limits.is_sorted() && limits.last() == Some(&double(&histogram[1].1)));
    }
}
