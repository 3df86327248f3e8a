//! QEMU's `mps2-an500`, a Cortex-M7.

#![no_std]
#![no_main]

use cortex_m_rt::entry;
use stepshift_board::device;

/// SysTick's clock in QEMU, in Hz.
const CLOCK_HZ: u32 = 25_000_000;

#[entry]
fn main() -> ! {
    device::run("qemu-m7", CLOCK_HZ)
}
