//! From sound to features, in integers: log-mel energies or MFCCs. `spec/front-end.md` is normative.
//!
//! - [`FrontEnd`]: tables that were checked once, by [`FrontEnd::parse`]; [`FrontEnd::features`] cannot fail.
//! - [`FeatureStream`]: samples in pieces of any length, a row of features for every hop.
//! - [`include_front_end!`](crate::include_front_end): a file that is part of the program.
//!
//! The trainer writes the file of the front end that a network was trained behind (`front-end.stepshift` in the run's
//! folder), so that the device computes the bits of training.
//!
//! ```
//! use stepshift_runtime::front_end::FeatureStream;
//! stepshift_runtime::include_front_end!(mod speech = "../../testdata/speech.front-end");
//!
//! # fn main() -> Result<(), stepshift_runtime::front_end::FrontEndError> {
//! let (mut frame, mut scratch) = ([0; speech::FRAME_LEN], [0; speech::SCRATCH_LEN]);
//! let mut stream = FeatureStream::new(speech::parse()?, &mut frame, &mut scratch)?;
//!
//! // The last second, a row of features for every hop: what the network reads.
//! let mut window = [0; 49 * speech::FEATURES];
//! let recorded = [0_i16; 1600]; // as it comes from a microphone
//! let (mut samples, mut row, mut rows) = (&recorded[..], [0; speech::FEATURES], 0);
//! while stream.next_row(&mut samples, &mut row) {
//!     window.copy_within(speech::FEATURES.., 0);
//!     window[48 * speech::FEATURES..].copy_from_slice(&row);
//!     rows += 1;
//! }
//! assert_eq!(rows, 4); // 1 + floor((1600 - 480) / 320)
//! # Ok(())
//! # }
//! ```

mod embed;
mod fft;
mod file;
mod logarithm;
mod mel;
mod stream;

#[doc(hidden)]
pub use embed::needs;
pub use file::{FRONT_END_MAGIC, FRONT_END_VERSION, FrontEndError, FrontEndFile, FrontEndNeeds};
pub use stream::FeatureStream;

use crate::arithmetic::rounding;

/// Fraction bits of a window's entries: 1.0 is `2^14`. Spec 2.
pub const WINDOW_BITS: u8 = 14;

/// Fraction bits of the sine table: 1.0 is `2^15`. Spec 3.
pub const SINE_BITS: u8 = 15;

/// Fraction bits of the mel filters: 1.0 is `2^12`. Spec 5.
pub const FILTER_BITS: u8 = 12;

/// Fraction bits of a logarithm: an octave of energy is `2^16`. Spec 6.
pub const LOGARITHM_BITS: u8 = 16;

/// Fraction bits of the cosines: 1.0 is `2^15`. Spec 7.
pub const COSINE_BITS: u8 = 15;

/// A checked front end: tables where they lie, in flash for one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FrontEnd<'a> {
    file: FrontEndFile<'a>,
}

impl<'a> FrontEnd<'a> {
    /// Reads and checks a front end's file.
    ///
    /// # Errors
    /// [`FrontEndError`] for anything but a whole, consistent file of this version.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, FrontEndError> {
        FrontEndFile::parse(bytes).map(|file| Self { file })
    }

    /// Samples a second.
    #[must_use]
    pub const fn sample_rate(&self) -> u32 {
        self.file.sample_rate
    }

    /// Samples in a frame.
    #[must_use]
    pub const fn frame_len(&self) -> usize {
        self.file.needs.frame_len as usize
    }

    /// Samples from the beginning of one frame to the next.
    #[must_use]
    pub const fn hop_len(&self) -> usize {
        self.file.hop_len as usize
    }

    /// Features of a frame.
    #[must_use]
    pub const fn feature_count(&self) -> usize {
        self.file.needs.feature_count as usize
    }

    /// Words of scratch memory that a frame needs.
    #[must_use]
    pub const fn scratch_len(&self) -> usize {
        self.file.needs.scratch_len as usize
    }

    /// Rows of features of so many samples.
    #[must_use]
    pub const fn row_count(&self, samples: usize) -> usize {
        match samples.checked_sub(self.frame_len()) {
            None => 0,
            Some(rest) => match rest.checked_div(self.hop_len()) {
                None => 0,
                Some(hops) => hops + 1,
            },
        }
    }

    /// The codes of one frame's features. Spec 2 to 8.
    ///
    /// samples   `[frame_len]` i16
    /// scratch   `[scratch_len]` i32, of any contents; written over
    /// features  `[feature_count]` i8, real = code * 2^(shift - 16) octaves from its offset
    ///
    /// Missing samples count as 0; without enough scratch memory the features are those of silence.
    pub fn features(&self, samples: &[i16], scratch: &mut [i32], features: &mut [i8]) {
        self.real_features(samples, scratch, |index, value| {
            if let Some(code) = features.get_mut(index) {
                *code = self.code(index, value);
            }
        });
    }

    /// A frame's features before they become codes, which is what offsets and shifts are chosen from. Spec 7.
    ///
    /// visit  called with the index of each feature and its value, in units of `2^-16` octaves
    pub fn real_features(&self, samples: &[i16], scratch: &mut [i32], mut visit: impl FnMut(usize, i32)) {
        let file = &self.file;
        let (spectrum, logarithms) = scratch.split_at_mut_checked(file.fft_len()).unwrap_or_default();
        let (spectrum, _) = spectrum.as_chunks_mut::<2>();
        fft::load(file, samples, spectrum);
        fft::transform(file, spectrum);
        mel::energies(file, spectrum, |channel, energy| {
            if let Some(value) = logarithms.get_mut(channel) {
                *value = logarithm::log2(energy);
            }
        });
        let channels = logarithms.get(..file.channel_count()).unwrap_or_default();
        if file.cosines.is_empty() {
            channels.iter().enumerate().for_each(|(index, value)| visit(index, *value));
        }
        let (cosines, _) = file.cosines.as_chunks::<2>();
        for (index, row) in cosines.chunks(file.channel_count().max(1)).enumerate() {
            visit(index, cosine_sum(row, channels));
        }
    }

    /// `clamp((value - offset + 2^(shift - 1)) >> shift)`. Spec 8.
    fn code(&self, index: usize, value: i32) -> i8 {
        let offset = self.file.offsets.as_chunks::<4>().0.get(index).map_or(0, |bytes| i32::from_le_bytes(*bytes));
        let shift = self.file.shifts.get(index).map_or(0, |shift| shift & 31);
        let centred = i64::from(value) - i64::from(offset) + i64::from(rounding(shift.cast_signed()));
        #[expect(clippy::cast_possible_truncation, reason = "bounded by an i8")]
        let code = (centred >> shift).clamp(i8::MIN.into(), i8::MAX.into()) as i8;
        code
    }
}

/// One coefficient of the cosine transform. Spec 7.
///
/// cosines     `[C]` i16 in little-endian bytes
/// logarithms  `[C]` i32
fn cosine_sum(cosines: &[[u8; 2]], logarithms: &[i32]) -> i32 {
    let products = cosines.iter().zip(logarithms);
    let sum: i64 = products.map(|(cosine, value)| i64::from(i16::from_le_bytes(*cosine)) * i64::from(*value)).sum();
    #[expect(clippy::cast_possible_truncation, reason = "at most 128 products of 16 and 22 bits, shifted by 15")]
    let rounded = ((sum + (1 << (COSINE_BITS - 1))) >> COSINE_BITS) as i32;
    rounded
}
