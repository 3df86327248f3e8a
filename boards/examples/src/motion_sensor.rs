//! A sensor of acceleration and rotation over I2C, with the registers of InvenSense's MPU-6050: 16 bits an axis, the high
//! byte first, and a pin that is high while a sample waits.

use embedded_hal_async::digital::Wait;
use embedded_hal_async::i2c::I2c;

/// The sensor's address with its select pin low.
pub const ADDRESS: u8 = 0x68;

/// Register of the acceleration along x; temperature and rotation follow.
pub const FIRST_AXIS: u8 = 0x3b;

/// Axes: acceleration along x, y, z, rotation around x, y, z.
pub const AXES: usize = 6;

/// Bytes of a sample: the axes, with the temperature in their middle.
pub const SAMPLE_BYTES: usize = 14;

/// Settings before the first sample: register and value.
const SETTINGS: [[u8; 2]; 7] = [
    [0x6b, 0x01], // awake, by the clock of the gyroscope
    [0x1a, 0x05], // low pass of 10 Hz, of 1,000 samples a second
    [0x19, 39],   // one of 40 of them: 25 a second
    [0x1b, 0x08], // 500 degrees a second
    [0x1c, 0x08], // 4 g
    [0x37, 0x30], // the pin is high until a sample is read
    [0x38, 0x01], // it says that there is a sample
];

/// Why there is no sample.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Error<B, P> {
    /// The bus failed.
    Bus(B),
    /// The pin failed.
    Pin(P),
}

/// The sensor on its bus, and its pin.
pub struct MotionSensor<I2C, PIN> {
    bus: I2C,
    ready: PIN,
}

impl<I2C: I2c, PIN: Wait> MotionSensor<I2C, PIN> {
    /// Sets the sensor up.
    ///
    /// # Errors
    /// The bus's.
    pub async fn start(mut bus: I2C, ready: PIN) -> Result<Self, Error<I2C::Error, PIN::Error>> {
        for setting in &SETTINGS {
            bus.write(ADDRESS, setting).await.map_err(Error::Bus)?;
        }
        Ok(Self { bus, ready })
    }

    /// Waits for the next sample; other tasks run meanwhile.
    ///
    /// # Errors
    /// The bus's or the pin's.
    pub async fn sample(&mut self) -> Result<[i16; AXES], Error<I2C::Error, PIN::Error>> {
        self.ready.wait_for_high().await.map_err(Error::Pin)?;
        let mut bytes = [0; SAMPLE_BYTES];
        self.bus.write_read(ADDRESS, &[FIRST_AXIS], &mut bytes).await.map_err(Error::Bus)?;
        let words = bytes.as_chunks::<2>().0.iter().map(|word| i16::from_be_bytes(*word));
        let mut axes = [0; AXES];
        for (axis, word) in axes.iter_mut().zip(words.enumerate().filter(|(index, _)| *index != 3)) {
            *axis = word.1;
        }
        Ok(axes)
    }
}

/// The network's code of a sample: its upper byte, rounded half up.
#[must_use]
pub fn code(sample: i16) -> i8 {
    let code = (i32::from(sample) + 128) >> 8;
    code.clamp(-128, 127) as i8
}
