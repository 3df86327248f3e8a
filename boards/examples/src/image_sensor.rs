//! A sensor of 8 x 8 pixels over I2C, with the registers of Panasonic's AMG88xx: 12 bits a pixel, the low byte first.

use embedded_hal::i2c::I2c;

/// The sensor's address with its select pin low.
pub const ADDRESS: u8 = 0x68;

/// Register of the first pixel's low byte.
pub const FIRST_PIXEL: u8 = 0x80;

/// Rows and columns.
pub const SIDE: usize = 8;

/// Pixels.
pub const PIXELS: usize = SIDE * SIDE;

/// Greatest value of a pixel.
pub const FULL_SCALE: u16 = 0x0fff;

/// The sensor on its bus.
pub struct ImageSensor<I2C> {
    bus: I2C,
}

impl<I2C: I2c> ImageSensor<I2C> {
    /// The sensor on a bus.
    pub const fn new(bus: I2C) -> Self {
        Self { bus }
    }

    /// Reads an image, row by row.
    ///
    /// # Errors
    /// The bus's.
    pub fn read(&mut self) -> Result<[u16; PIXELS], I2C::Error> {
        let mut bytes = [0; 2 * PIXELS];
        self.bus.write_read(ADDRESS, &[FIRST_PIXEL], &mut bytes)?;
        let mut pixels = [0; PIXELS];
        for (pixel, bytes) in pixels.iter_mut().zip(bytes.as_chunks::<2>().0) {
            *pixel = u16::from_le_bytes(*bytes) & FULL_SCALE;
        }
        Ok(pixels)
    }
}
