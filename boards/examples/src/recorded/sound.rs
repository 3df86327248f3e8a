//! A sound in the place of [`crate::microphone`].

use embedded_hal::spi::{ErrorKind, ErrorType, Operation, SpiDevice};

use crate::microphone::SILENCE;

/// A bus whose ADC converts one recorded sample after another.
pub struct RecordedSound<'a> {
    /// Samples that were not converted yet, 16 bits each, the low byte first.
    rest: &'a [[u8; 2]],
}

impl<'a> RecordedSound<'a> {
    /// A sound of samples of 16 bits; a rest of bytes is no sample.
    #[must_use]
    pub const fn new(bytes: &'a [u8]) -> Self {
        let (rest, _) = bytes.as_chunks();
        Self { rest }
    }

    fn convert(&mut self, bytes: &mut [u8]) -> Result<(), ErrorKind> {
        let (sample, rest) = self.rest.split_first().ok_or(ErrorKind::Other)?;
        self.rest = rest;
        let converted = (i16::from_le_bytes(*sample).cast_unsigned() >> 4).wrapping_add(SILENCE) & 0x0fff;
        bytes.iter_mut().zip(converted.to_be_bytes()).for_each(|(target, byte)| *target = byte);
        Ok(())
    }
}

impl ErrorType for RecordedSound<'_> {
    type Error = ErrorKind;
}

impl SpiDevice for RecordedSound<'_> {
    fn transaction(&mut self, operations: &mut [Operation<'_, u8>]) -> Result<(), ErrorKind> {
        for operation in operations {
            match operation {
                Operation::Read(bytes) => self.convert(bytes)?,
                _ => return Err(ErrorKind::Other),
            }
        }
        Ok(())
    }
}
