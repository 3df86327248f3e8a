//! Counts instructions under QEMU's `-icount shift=0`, where one instruction is one nanosecond.

use cortex_m::peripheral::SYST;
use cortex_m::peripheral::syst::SystClkSource;

/// SysTick counts 24 bits down.
const RELOAD: u32 = 0x00ff_ffff;

/// Instructions of the loop that calibrates.
const CALIBRATION: u32 = 1_000_000;

/// Fraction bits of the instructions of a tick: a clock need not divide a GHz.
const FRACTION_BITS: u32 = 8;

/// Bits of a clock of 32 bits below one tick of 24.
const CLOCK_BITS: u32 = 8;

/// SysTick as an instruction counter. One interval may not exceed `2^24` ticks.
pub struct Counter {
    systick: SYST,
    /// Instructions of a tick, in units of `2^-8`.
    per_tick: u32,
}

/// The clock does not count instructions: QEMU was started without `-icount shift=0`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NotCalibrated {
    /// Ticks that the loop took.
    pub once: u32,
    /// Ticks that a loop of twice the length took.
    pub twice: u32,
}

impl Counter {
    /// Starts SysTick and holds it against loops of known length.
    ///
    /// # Errors
    /// [`NotCalibrated`] where a loop of twice the length does not take twice the ticks, to one percent.
    pub fn new(mut systick: SYST) -> Result<Self, NotCalibrated> {
        systick.set_clock_source(SystClkSource::Core);
        systick.set_reload(RELOAD);
        systick.clear_current();
        systick.enable_counter();
        let mut counter = Self { systick, per_tick: 0 };
        let (once, twice) = (counter.ticks_of(CALIBRATION), counter.ticks_of(2 * CALIBRATION));
        if once == 0 || twice.abs_diff(2 * once) > once / 100 {
            return Err(NotCalibrated { once, twice });
        }
        counter.per_tick = (CALIBRATION << FRACTION_BITS) / once;
        Ok(counter)
    }

    fn ticks_of(&self, instructions: u32) -> u32 {
        let start = self.now();
        // A turn of the loop of cortex-m 0.7 is two instructions, `subs` and `bne`.
        cortex_m::asm::delay(instructions / 2);
        start.wrapping_sub(self.now()) & RELOAD
    }

    /// A moment, for [`Self::since`].
    #[must_use]
    pub fn now(&self) -> u32 {
        // Reading the current value changes nothing.
        SYST::get_current()
    }

    /// Instructions since a moment, at a resolution of one tick.
    #[must_use]
    pub fn since(&self, start: u32) -> u32 {
        self.instructions(start.wrapping_sub(self.now()) & RELOAD)
    }

    /// A clock that counts up, in units of 2^-8 ticks, and wraps as `u32` does: [`Self::instructions_of`] makes instructions of them.
    #[must_use]
    pub fn clock(&self) -> u32 {
        (self.now() << CLOCK_BITS).wrapping_neg()
    }

    /// Instructions between two readings of [`Self::clock`], whose difference is given.
    #[must_use]
    pub fn instructions_of(&self, elapsed: u32) -> u32 {
        self.instructions(elapsed >> CLOCK_BITS)
    }

    fn instructions(&self, ticks: u32) -> u32 {
        let instructions = (u64::from(ticks) * u64::from(self.per_tick)) >> FRACTION_BITS;
        u32::try_from(instructions).unwrap_or(u32::MAX)
    }

    /// Stops counting and returns SysTick.
    #[must_use]
    pub fn release(mut self) -> SYST {
        self.systick.disable_counter();
        self.systick
    }
}
