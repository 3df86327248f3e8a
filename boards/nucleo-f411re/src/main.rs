//! STM32F411RE, a Cortex-M4F. It runs at the clock of reset: cycles are counted, whatever their length.

#![no_std]
#![no_main]

use cortex_m_rt::entry;
use stepshift_board::device;

/// The clock after reset, of HSI, in Hz.
const CLOCK_HZ: u32 = 16_000_000;

#[entry]
fn main() -> ! {
    device::run("nucleo-f411re", CLOCK_HZ)
}
