//! STM32L475VG, a Cortex-M4F. It runs at the clock of reset: cycles are counted, whatever their length.

#![no_std]
#![no_main]

use cortex_m_rt::entry;
use stepshift_board::device;

/// The clock after reset, of MSI, in Hz.
const CLOCK_HZ: u32 = 4_000_000;

#[entry]
fn main() -> ! {
    device::run("b-l475e-iot01a", CLOCK_HZ)
}
