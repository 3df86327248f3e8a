//! A microphone behind an ADC over SPI, Texas Instruments' ADCS7476 as on Digilent's Pmod MIC3: each transfer of 16 bits converts
//! once and gives 12 bits behind four zeros, the high byte first.

use embedded_hal::spi::SpiDevice;

/// What the ADC gives for silence: half of its supply.
pub const SILENCE: u16 = 1 << 11;

/// The microphone on its bus.
pub struct Microphone<SPI> {
    bus: SPI,
}

impl<SPI: SpiDevice> Microphone<SPI> {
    /// The microphone on a bus.
    pub const fn new(bus: SPI) -> Self {
        Self { bus }
    }

    /// Converts once: 16 bits, of which the lower four are zero. A timer of the chip calls for it as often as the front end
    /// has samples a second.
    ///
    /// # Errors
    /// The bus's.
    pub fn sample(&mut self) -> Result<i16, SPI::Error> {
        let mut bytes = [0; 2];
        self.bus.read(&mut bytes)?;
        let converted = u16::from_be_bytes(bytes) & 0x0fff;
        Ok((converted.wrapping_sub(SILENCE) << 4).cast_signed())
    }
}
