//! QEMU's `lm3s6965evb`: LM3S6965, a Cortex-M3.

#![no_std]
#![no_main]

use cortex_m_rt::entry;
use stepshift_board::device;

/// The clock after reset, in Hz.
const CLOCK_HZ: u32 = 12_500_000;

#[entry]
fn main() -> ! {
    device::run("lm3s6965", CLOCK_HZ)
}
