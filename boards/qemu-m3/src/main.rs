//! QEMU's `mps2-an385`, a Cortex-M3.

#![no_std]
#![no_main]

use cortex_m_rt::entry;
use stepshift_board::device;

/// SysTick's clock in QEMU, in Hz.
const CLOCK_HZ: u32 = 25_000_000;

#[entry]
fn main() -> ! {
    device::run("qemu-m3", CLOCK_HZ)
}
