//! A motion in the place of [`crate::motion_sensor`].

use core::cell::Cell;
use core::convert::Infallible;

use embassy_futures::yield_now;
use embedded_hal::digital;
use embedded_hal::i2c::{ErrorKind, ErrorType, Operation};
use embedded_hal_async::digital::Wait;
use embedded_hal_async::i2c::I2c;

use super::NOBODY;
use crate::motion_sensor::{ADDRESS, AXES, FIRST_AXIS};

/// Bytes of a recorded sample: 16 bits an axis, the low byte first.
const RECORDED_BYTES: usize = 2 * AXES;

/// A motion that goes on by a clock, whether it is read or not; bus and pin share it.
pub struct Recording<'a, F> {
    samples: &'a [[u8; RECORDED_BYTES]],
    /// Microseconds since some moment.
    micros: F,
    /// From one sample to the next.
    period: u32,
    start: Cell<Option<u32>>,
    /// Samples that were read.
    read: Cell<usize>,
    lost: Cell<usize>,
}

impl<'a, F: Fn() -> u32> Recording<'a, F> {
    /// A motion of one sample every `period` microseconds; a rest of bytes is no sample.
    pub fn new(bytes: &'a [u8], period: u32, micros: F) -> Self {
        let (samples, _) = bytes.as_chunks();
        Self { samples, micros, period, start: Cell::new(None), read: Cell::new(0), lost: Cell::new(0) }
    }

    /// Samples that were over before they were read.
    pub const fn lost(&self) -> usize {
        self.lost.get()
    }

    /// Samples so far, by the clock; it starts with the first call.
    fn elapsed(&self) -> usize {
        let now = (self.micros)();
        let start = self.start.get().unwrap_or(now);
        self.start.set(Some(start));
        (now.wrapping_sub(start) / self.period) as usize
    }

    /// A sample waits, or there is none any more, which the bus tells.
    fn is_ready(&self) -> bool {
        self.elapsed() > self.read.get() || self.read.get() >= self.samples.len()
    }

    /// The newest sample: a sensor keeps one.
    fn take(&self) -> Result<[u8; RECORDED_BYTES], ErrorKind> {
        let newest = self.elapsed().saturating_sub(1).min(self.samples.len());
        let index = newest.max(self.read.get());
        self.lost.set(self.lost.get() + index - self.read.get());
        self.read.set(index + 1);
        self.samples.get(index).copied().ok_or(NOBODY)
    }
}

/// Bus and pin of a sensor that is moved as was recorded.
pub struct RecordedMotion<'r, 'a, F> {
    recording: &'r Recording<'a, F>,
    register: u8,
}

impl<'r, 'a, F> RecordedMotion<'r, 'a, F> {
    /// One end of the recording: the bus or the pin.
    pub const fn new(recording: &'r Recording<'a, F>) -> Self {
        Self { recording, register: 0 }
    }
}

impl<F> ErrorType for RecordedMotion<'_, '_, F> {
    type Error = ErrorKind;
}

impl<F: Fn() -> u32> I2c for RecordedMotion<'_, '_, F> {
    async fn transaction(&mut self, address: u8, operations: &mut [Operation<'_>]) -> Result<(), ErrorKind> {
        if address != ADDRESS {
            return Err(NOBODY);
        }
        for operation in operations {
            match operation {
                Operation::Write([register, ..]) => self.register = *register,
                Operation::Read(bytes) if self.register == FIRST_AXIS => {
                    let sample = self.recording.take()?;
                    // The temperature, which was not recorded, lies between acceleration and rotation.
                    let (acceleration, rotation) = sample.split_at(RECORDED_BYTES / 2);
                    let words = acceleration.chunks(2).chain([&[0; 2][..]]).chain(rotation.chunks(2));
                    for (target, word) in bytes.chunks_mut(2).zip(words) {
                        target.iter_mut().zip(word.iter().rev()).for_each(|(target, byte)| *target = *byte);
                    }
                }
                _ => return Err(ErrorKind::Other),
            }
        }
        Ok(())
    }
}

impl<F> digital::ErrorType for RecordedMotion<'_, '_, F> {
    type Error = Infallible;
}

impl<F: Fn() -> u32> Wait for RecordedMotion<'_, '_, F> {
    async fn wait_for_high(&mut self) -> Result<(), Infallible> {
        while !self.recording.is_ready() {
            yield_now().await;
        }
        Ok(())
    }

    async fn wait_for_low(&mut self) -> Result<(), Infallible> {
        while self.recording.is_ready() {
            yield_now().await;
        }
        Ok(())
    }

    async fn wait_for_rising_edge(&mut self) -> Result<(), Infallible> {
        self.wait_for_low().await?;
        self.wait_for_high().await
    }

    async fn wait_for_falling_edge(&mut self) -> Result<(), Infallible> {
        self.wait_for_high().await?;
        self.wait_for_low().await
    }

    async fn wait_for_any_edge(&mut self) -> Result<(), Infallible> {
        if self.recording.is_ready() { self.wait_for_low().await } else { self.wait_for_high().await }
    }
}
