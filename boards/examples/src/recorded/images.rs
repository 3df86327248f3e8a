//! Images in the place of [`crate::image_sensor`].

use embedded_hal::i2c::{ErrorKind, ErrorType, I2c, Operation};

use super::NOBODY;
use crate::image_sensor::{ADDRESS, FIRST_PIXEL, FULL_SCALE, PIXELS};

/// A bus whose sensor sees one recorded image after another.
pub struct RecordedImages<'a> {
    /// Images that were not read yet, each of [`PIXELS`] bytes of 0 to 16.
    rest: &'a [[u8; PIXELS]],
    register: u8,
}

impl<'a> RecordedImages<'a> {
    /// Images of pixels from 0 to 16.
    #[must_use]
    pub const fn new(images: &'a [[u8; PIXELS]]) -> Self {
        Self { rest: images, register: 0 }
    }

    /// The next image in the sensor's registers.
    fn expose(&mut self, bytes: &mut [u8]) -> Result<(), ErrorKind> {
        let (image, rest) = self.rest.split_first().ok_or(NOBODY)?;
        self.rest = rest;
        for (target, pixel) in bytes.as_chunks_mut::<2>().0.iter_mut().zip(image) {
            *target = (u16::from(*pixel) << 8).min(FULL_SCALE).to_le_bytes();
        }
        Ok(())
    }
}

impl ErrorType for RecordedImages<'_> {
    type Error = ErrorKind;
}

impl I2c for RecordedImages<'_> {
    fn transaction(&mut self, address: u8, operations: &mut [Operation<'_>]) -> Result<(), ErrorKind> {
        if address != ADDRESS {
            return Err(NOBODY);
        }
        for operation in operations {
            match operation {
                Operation::Write([register, ..]) => self.register = *register,
                Operation::Read(bytes) if self.register == FIRST_PIXEL => self.expose(bytes)?,
                _ => return Err(ErrorKind::Other),
            }
        }
        Ok(())
    }
}
