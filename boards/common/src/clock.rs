//! A clock that counts up: the core's cycles on hardware, SysTick on cores without a cycle counter and in QEMU.

use cortex_m::Peripherals;

/// Ticks of a free-running counter of 32 bits.
pub struct Clock {
    hz: u32,
}

impl Clock {
    /// Starts the counter.
    ///
    /// hz  ticks of a second
    #[must_use]
    pub fn start(core: Peripherals, hz: u32) -> Self {
        counter::start(core);
        Self { hz }
    }

    /// Ticks since some moment; wraps.
    #[must_use]
    pub fn now(&self) -> u32 {
        counter::now()
    }

    /// Microseconds of a number of ticks.
    #[must_use]
    pub fn micros(&self, ticks: u32) -> u32 {
        let micros = u64::from(ticks) * 1_000_000 / u64::from(self.hz.max(1));
        u32::try_from(micros).unwrap_or(u32::MAX)
    }
}

/// The cycle counter of the debug unit (Armv7-M ARM, C1.8.8). QEMU has none, nor has Armv6-M.
#[cfg(feature = "cycle-counter")]
mod counter {
    use cortex_m::Peripherals;
    use cortex_m::peripheral::DWT;

    pub(super) fn start(mut core: Peripherals) {
        core.DCB.enable_trace();
        core.DWT.enable_cycle_counter();
    }

    pub(super) fn now() -> u32 {
        DWT::cycle_count()
    }
}

/// SysTick counts 24 bits down; its exception counts how often.
#[cfg(not(feature = "cycle-counter"))]
mod counter {
    use core::sync::atomic::{AtomicU32, Ordering};

    use cortex_m::Peripherals;
    use cortex_m::peripheral::SYST;
    use cortex_m::peripheral::syst::SystClkSource;
    use cortex_m_rt::exception;

    const RELOAD: u32 = 0x00ff_ffff;

    static WRAPS: AtomicU32 = AtomicU32::new(0);

    #[exception]
    fn SysTick() {
        // The one writer: a core without compare-and-swap can do it as well.
        WRAPS.store(WRAPS.load(Ordering::Relaxed).wrapping_add(1), Ordering::Relaxed);
    }

    pub(super) fn start(mut core: Peripherals) {
        core.SYST.set_clock_source(SystClkSource::Core);
        core.SYST.set_reload(RELOAD);
        core.SYST.clear_current();
        core.SYST.enable_interrupt();
        core.SYST.enable_counter();
    }

    pub(super) fn now() -> u32 {
        loop {
            let before = WRAPS.load(Ordering::Relaxed);
            let ticks = RELOAD - SYST::get_current();
            if WRAPS.load(Ordering::Relaxed) == before {
                return (before << 24).wrapping_add(ticks);
            }
        }
    }
}
