//! The file of a front end: one postcard message, read in place. Spec 9.

use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::{FILTER_BITS, SINE_BITS, WINDOW_BITS};
use crate::crc32;
use crate::format::{HEADER_BYTES, Header};

/// First bytes of every front end's file.
pub const FRONT_END_MAGIC: [u8; 4] = *b"STFE";

/// The version of the file that this crate reads and writes.
pub const FRONT_END_VERSION: u16 = 1;

/// Length in bytes of an encoded [`FrontEndNeeds`].
pub(super) const NEEDS_BYTES: usize = 6;

/// Greatest shift of a feature.
const MAX_FEATURE_SHIFT: u8 = 30;

/// Most mel channels: the sums of spec 7 fit for so many.
const MAX_CHANNELS: usize = 128;

/// What a build must know before the file is parsed; every field is of fixed width.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct FrontEndNeeds {
    /// Samples in a frame.
    #[serde(with = "postcard::fixint::le")]
    pub frame_len: u16,
    /// Words of scratch memory: the length of the transform and the number of channels.
    #[serde(with = "postcard::fixint::le")]
    pub scratch_len: u16,
    /// Features of a frame.
    #[serde(with = "postcard::fixint::le")]
    pub feature_count: u16,
}

/// The whole message. Numbers of several bytes in the tables are little-endian.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct FrontEndFile<'a> {
    /// Magic number, version, checksum.
    pub header: Header,
    /// Sizes.
    pub needs: FrontEndNeeds,
    /// Samples a second.
    pub sample_rate: u32,
    /// Samples from the beginning of one frame to the next, at most those of a frame.
    pub hop_len: u16,
    /// The transform is over `N = 2^fft_log2` samples, 5 to 12.
    pub fft_log2: u8,
    /// `[frame_len]` u16 at `2^-14`, at most 1.0.
    pub window: &'a [u8],
    /// `[N / 4 + 1]` u16 at `2^-15`: a quarter of a sine.
    pub sines: &'a [u8],
    /// `[channels + 2]` u16: the first bin at or past each edge of the triangles.
    pub edges: &'a [u8],
    /// u16 at `2^-12`, one for each bin from the first edge to the last: how far the triangle at that bin has risen.
    pub rises: &'a [u8],
    /// `[features, channels]` i16 at `2^-15`; empty where the features are the logarithms.
    pub cosines: &'a [u8],
    /// `[features]` i32 at `2^-16`: what is subtracted from each feature.
    pub offsets: &'a [u8],
    /// `[features]` u8: log2 of each feature's step, from `2^-16`.
    pub shifts: &'a [u8],
}

/// Why a front end was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum FrontEndError {
    /// The bytes do not start with the magic number.
    #[error("not a stepshift front end: the file does not start with \"STFE\"")]
    NotAFrontEnd,
    /// The file was written in another version.
    #[error("front end version {found}, this runtime reads {FRONT_END_VERSION}: write it again")]
    Version {
        /// Version in the file.
        found: u16,
    },
    /// The checksum over the bytes behind the header does not match.
    #[error("checksum {computed:#010x} instead of {stored:#010x}: the file is corrupt or cut short")]
    Checksum {
        /// CRC in the header.
        stored: u32,
        /// CRC of the bytes.
        computed: u32,
    },
    /// The message cannot be decoded, or bytes follow it.
    #[error("malformed front end: its tables cannot be decoded")]
    Malformed,
    /// The transform's length is not 32 to 4096, or less than a frame; or the hop is not 1 to a frame.
    #[error("the frame must have 1 to N samples, N from 32 to 4096, and the hop 1 to a frame")]
    Lengths,
    /// A table has another length than the others ask for, or there are no or more than 128 channels.
    #[error("a table's length does not fit the others")]
    TableLength,
    /// An entry of the window, sine or filters is above 1, or a shift above 30.
    #[error("an entry of a table is out of range")]
    Entry,
    /// The filters' edges fall, or pass the last bin.
    #[error("the edges of the filters fall, or pass the last bin")]
    Edges,
    /// A buffer has not the length that the front end needs.
    #[error("the frame's or the scratch memory is too small")]
    BufferTooSmall,
}

impl<'a> FrontEndFile<'a> {
    /// Reads and checks a file.
    pub(super) fn parse(bytes: &'a [u8]) -> Result<Self, FrontEndError> {
        let (header, _) = postcard::take_from_bytes::<Header>(bytes).map_err(|_| FrontEndError::NotAFrontEnd)?;
        if header.magic != FRONT_END_MAGIC {
            return Err(FrontEndError::NotAFrontEnd);
        }
        if header.version != FRONT_END_VERSION {
            return Err(FrontEndError::Version { found: header.version });
        }
        let computed = crc32(bytes.get(HEADER_BYTES..).unwrap_or_default());
        if computed != header.crc {
            return Err(FrontEndError::Checksum { stored: header.crc, computed });
        }
        let (file, rest) = postcard::take_from_bytes::<Self>(bytes).map_err(|_| FrontEndError::Malformed)?;
        if !rest.is_empty() {
            return Err(FrontEndError::Malformed);
        }
        file.check_lengths()?;
        file.check_entries()?;
        Ok(file)
    }

    /// Samples of the transform.
    pub(super) const fn fft_len(&self) -> usize {
        1 << (self.fft_log2 & 15)
    }

    /// Mel channels.
    pub(super) const fn channel_count(&self) -> usize {
        (self.edges.len() / 2).saturating_sub(2)
    }

    fn check_lengths(&self) -> Result<(), FrontEndError> {
        let frame = usize::from(self.needs.frame_len);
        let hop = 1..=self.needs.frame_len;
        if !(5..=12).contains(&self.fft_log2) || frame > self.fft_len() || !hop.contains(&self.hop_len) {
            return Err(FrontEndError::Lengths);
        }
        let (channels, features) = (self.channel_count(), usize::from(self.needs.feature_count));
        let cosines = if self.cosines.is_empty() { features == channels } else { features <= channels };
        let fits = (1..=MAX_CHANNELS).contains(&channels)
            && features > 0
            && cosines
            && usize::from(self.needs.scratch_len) == self.fft_len() + channels
            && self.window.len() == 2 * frame
            && self.sines.len() == 2 * (self.fft_len() / 4 + 1)
            && self.edges.len() == 2 * (channels + 2)
            && (self.cosines.is_empty() || self.cosines.len() == 2 * features * channels)
            && self.offsets.len() == 4 * features
            && self.shifts.len() == features;
        if fits { Ok(()) } else { Err(FrontEndError::TableLength) }
    }

    /// Sine and cosine of every angle have magnitude 1: the transform cannot overflow.
    fn is_a_sine(&self) -> bool {
        let unit = 1_u64 << (2 * SINE_BITS);
        let backwards = self.sines.as_chunks::<2>().0.iter().rev().map(|bytes| u16::from_le_bytes(*bytes));
        let squares = halves(self.sines).zip(backwards).map(|(sin, cos)| u64::from(sin).pow(2) + u64::from(cos).pow(2));
        squares.into_iter().all(|square| square.abs_diff(unit) <= MAGNITUDE_TOLERANCE)
    }

    fn check_entries(&self) -> Result<(), FrontEndError> {
        let most = |table: &[u8], bits: u8| halves(table).all(|entry| entry <= 1 << bits);
        let small = most(self.window, WINDOW_BITS) && most(self.rises, FILTER_BITS) && self.is_a_sine();
        if !small || self.shifts.iter().any(|shift| *shift > MAX_FEATURE_SHIFT) {
            return Err(FrontEndError::Entry);
        }
        let (mut last, mut rising) = (0, true);
        for edge in halves(self.edges) {
            rising &= last <= edge;
            last = edge;
        }
        let first = halves(self.edges).next().unwrap_or(0);
        if !rising || usize::from(last) > self.fft_len() / 2 + 1 {
            return Err(FrontEndError::Edges);
        }
        let bins = usize::from(last.saturating_sub(first));
        if self.rises.len() == 2 * bins { Ok(()) } else { Err(FrontEndError::TableLength) }
    }
}

/// What rounding may do to the square of a magnitude of 1. Spec 3.1.
const MAGNITUDE_TOLERANCE: u64 = 1 << 17;

fn halves(table: &[u8]) -> impl Iterator<Item = u16> + '_ {
    table.as_chunks::<2>().0.iter().map(|bytes| u16::from_le_bytes(*bytes))
}
