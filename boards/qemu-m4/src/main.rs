//! QEMU's `mps2-an386`, a Cortex-M4.

#![no_std]
#![no_main]

use cortex_m_rt::entry;
use stepshift_board::device;

/// SysTick's clock in QEMU, in Hz.
const CLOCK_HZ: u32 = 25_000_000;

#[entry]
fn main() -> ! {
    device::run("qemu-m4", CLOCK_HZ)
}
