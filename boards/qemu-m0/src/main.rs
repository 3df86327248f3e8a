//! QEMU's `microbit`, a Cortex-M0.

#![no_std]
#![no_main]

use cortex_m_rt::entry;
use stepshift_board::device;

/// SysTick's clock in QEMU, in Hz.
const CLOCK_HZ: u32 = 16_000_000;

#[entry]
fn main() -> ! {
    device::run("qemu-m0", CLOCK_HZ)
}
