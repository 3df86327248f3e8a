//! Golden vectors: inputs with the digest of every step's output, in one postcard message.

use serde::{Deserialize, Serialize};
use thiserror::Error;

/// First bytes of every vectors file.
const MAGIC: [u8; 4] = *b"STSV";

/// Inputs of a model, and what every step makes of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Vectors<'a> {
    magic: [u8; 4],
    model_crc: u32,
    step_count: u32,
    image_count: u32,
    /// `[image][input code]`, as the codes lie in the arena.
    inputs: &'a [u8],
    /// `[image][step]` u32, little-endian.
    digests: &'a [u8],
    /// `[image]` u16, little-endian: argmax of the output.
    classes: &'a [u8],
}

/// Why a vectors file was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum VectorsError {
    /// Not a vectors file, or cut short.
    #[error("not a vectors file, or cut short")]
    Malformed,
    /// The tables contradict each other's lengths.
    #[error("inputs, digests and classes are not for one number of images")]
    Lengths,
}

impl<'a> Vectors<'a> {
    /// Joins tables of one length: `classes.len() / 2` images.
    ///
    /// # Errors
    /// [`VectorsError::Lengths`] where a table has another number of images.
    pub fn new(
        model_crc: u32,
        step_count: usize,
        inputs: &'a [u8],
        digests: &'a [u8],
        classes: &'a [u8],
    ) -> Result<Self, VectorsError> {
        let count = |len| u32::try_from(len).map_err(|_| VectorsError::Lengths);
        let vectors = Self {
            magic: MAGIC,
            model_crc,
            step_count: count(step_count)?,
            image_count: count(classes.len() / 2)?,
            inputs,
            digests,
            classes,
        };
        vectors.checked()
    }

    /// Reads a vectors file.
    ///
    /// # Errors
    /// [`VectorsError`] for anything but a whole vectors file.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, VectorsError> {
        let vectors: Self = postcard::from_bytes(bytes).map_err(|_| VectorsError::Malformed)?;
        if vectors.magic != MAGIC {
            return Err(VectorsError::Malformed);
        }
        vectors.checked()
    }

    fn checked(self) -> Result<Self, VectorsError> {
        let images = u64::from(self.image_count);
        let digest_bytes = images.saturating_mul(self.step_count.into()).saturating_mul(4);
        let consistent = self.classes.len() as u64 == 2 * images
            && self.digests.len() as u64 == digest_bytes
            && (self.inputs.len() as u64).checked_rem(images).unwrap_or(0) == 0;
        if consistent { Ok(self) } else { Err(VectorsError::Lengths) }
    }

    /// [`crate::Model::crc`] of the model that the vectors were made for.
    #[must_use]
    pub const fn model_crc(&self) -> u32 {
        self.model_crc
    }

    /// Number of images.
    #[must_use]
    pub const fn image_count(&self) -> usize {
        self.image_count as usize
    }

    /// Number of steps of a run of the model.
    #[must_use]
    pub const fn step_count(&self) -> usize {
        self.step_count as usize
    }

    /// Bytes of an image's codes; empty past the last one.
    #[must_use]
    pub fn input(&self, image: usize) -> &'a [u8] {
        let len = self.inputs.len().checked_div(self.image_count()).unwrap_or(0);
        self.inputs.get(image.saturating_mul(len)..).and_then(|rest| rest.get(..len)).unwrap_or_default()
    }

    /// Digest of what `step` writes for an image.
    #[must_use]
    pub fn digest(&self, image: usize, step: usize) -> Option<u32> {
        let index = image.checked_mul(self.step_count())?.checked_add(step)?;
        let (digests, _) = self.digests.as_chunks::<4>();
        digests.get(index).filter(|_| step < self.step_count()).map(|bytes| u32::from_le_bytes(*bytes))
    }

    /// Argmax of the output for an image.
    #[must_use]
    pub fn class(&self, image: usize) -> Option<u16> {
        let (classes, _) = self.classes.as_chunks::<2>();
        classes.get(image).map(|bytes| u16::from_le_bytes(*bytes))
    }
}
