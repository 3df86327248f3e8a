//! Counts instructions under QEMU's `-icount shift=0`, where one instruction is one nanosecond.

use cortex_m::peripheral::SYST;
use cortex_m::peripheral::syst::SystClkSource;

/// SysTick counts 24 bits down.
const RELOAD: u32 = 0x00ff_ffff;

/// Iterations of the loop that calibrates: two instructions each.
const CALIBRATION_LOOPS: u32 = 500_000;

/// SysTick as an instruction counter. One interval may not exceed `2^24` ticks.
pub struct Counter {
    systick: SYST,
    instructions_per_tick: u32,
}

/// The clock does not count instructions: QEMU was started without `-icount shift=0`, or at another clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NotCalibrated {
    /// Instructions that the calibration ran.
    pub expected: u32,
    /// Instructions that were counted.
    pub counted: u32,
}

impl Counter {
    /// Starts SysTick and holds it against a loop of known length.
    ///
    /// # Errors
    /// [`NotCalibrated`] where the count is off by more than one percent.
    pub fn new(mut systick: SYST, instructions_per_tick: u32) -> Result<Self, NotCalibrated> {
        systick.set_clock_source(SystClkSource::Core);
        systick.set_reload(RELOAD);
        systick.clear_current();
        systick.enable_counter();
        let counter = Self { systick, instructions_per_tick };
        let start = counter.now();
        // A loop of two instructions, `subs` and `bne`, in cortex-m 0.7.10.
        cortex_m::asm::delay(CALIBRATION_LOOPS);
        let counted = counter.since(start);
        let expected = 2 * CALIBRATION_LOOPS;
        if counted.abs_diff(expected) > expected / 100 {
            return Err(NotCalibrated { expected, counted });
        }
        Ok(counter)
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
        let ticks = start.wrapping_sub(self.now()) & RELOAD;
        ticks.saturating_mul(self.instructions_per_tick)
    }

    /// Stops counting and returns SysTick.
    #[must_use]
    pub fn release(mut self) -> SYST {
        self.systick.disable_counter();
        self.systick
    }
}
