//! Samples as they come, rows of features as they are due.

use super::{FrontEnd, FrontEndError};

/// A front end with the samples that the next frame begins with.
#[derive(Debug)]
pub struct FeatureStream<'a> {
    front_end: FrontEnd<'a>,
    frame: &'a mut [i16],
    scratch: &'a mut [i32],
    filled: usize,
}

impl<'a> FeatureStream<'a> {
    /// An empty stream.
    ///
    /// frame    at least [`FrontEnd::frame_len`] samples
    /// scratch  at least [`FrontEnd::scratch_len`] words
    ///
    /// # Errors
    /// [`FrontEndError::BufferTooSmall`].
    pub fn new(front_end: FrontEnd<'a>, frame: &'a mut [i16], scratch: &'a mut [i32]) -> Result<Self, FrontEndError> {
        if scratch.len() < front_end.scratch_len() {
            return Err(FrontEndError::BufferTooSmall);
        }
        let frame = frame.get_mut(..front_end.frame_len()).ok_or(FrontEndError::BufferTooSmall)?;
        Ok(Self { front_end, frame, scratch, filled: 0 })
    }

    /// Takes samples from the front of `samples` until a frame is whole; true where it is, with its features written.
    ///
    /// samples   i16, as many as there are; what is left belongs to the next rows
    /// features  `[feature_count]` i8
    pub fn next_row(&mut self, samples: &mut &[i16], features: &mut [i8]) -> bool {
        let missing = self.frame.get_mut(self.filled..).unwrap_or_default();
        let count = missing.len().min(samples.len());
        for (target, sample) in missing.iter_mut().zip(samples.iter()) {
            *target = *sample;
        }
        *samples = samples.get(count..).unwrap_or_default();
        self.filled += count;
        if self.filled < self.frame.len() {
            return false;
        }
        self.front_end.features(self.frame, self.scratch, features);
        let hop = self.front_end.hop_len().min(self.frame.len());
        self.frame.rotate_left(hop);
        self.filled = self.frame.len() - hop;
        true
    }

    /// Forgets the samples so far.
    pub const fn reset(&mut self) {
        self.filled = 0;
    }
}
