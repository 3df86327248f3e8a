//! QEMU's `mps2-an505`, a Cortex-M33.

#![no_std]
#![no_main]

use cortex_m_rt::entry;
use stepshift_board::device;

/// SysTick's clock in QEMU, in Hz.
const CLOCK_HZ: u32 = 20_000_000;

#[entry]
fn main() -> ! {
    device::run("qemu-m33", CLOCK_HZ)
}
