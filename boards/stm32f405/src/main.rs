//! STM32F405RG, a Cortex-M4F: on a board with a probe, or unchanged but for its link to the host in QEMU's `netduinoplus2`.
//! It runs at the clock of reset: cycles are counted, whatever their length.

#![no_std]
#![no_main]

use cortex_m_rt::entry;
use stepshift_board::device;

/// HSI after reset, in Hz; QEMU's SysTick runs at the greatest clock from the start.
const CLOCK_HZ: u32 = if cfg!(feature = "rtt") { 16_000_000 } else { 168_000_000 };

#[entry]
fn main() -> ! {
    device::run("stm32f405", CLOCK_HZ)
}
