//! STM32H743ZI, a Cortex-M7. It runs at the clock of reset: cycles are counted, whatever their length.

#![no_std]
#![no_main]

use cortex_m_rt::entry;
use stepshift_board::device;

/// The clock after reset, of HSI, in Hz.
const CLOCK_HZ: u32 = 64_000_000;

#[entry]
fn main() -> ! {
    device::run("nucleo-h743zi", CLOCK_HZ)
}
