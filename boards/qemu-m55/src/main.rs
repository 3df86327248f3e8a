//! QEMU's `mps3-an547`, a Cortex-M55.

#![no_std]
#![no_main]

use cortex_m_rt::entry;
use stepshift_board::device;

/// SysTick's clock in QEMU, in Hz.
const CLOCK_HZ: u32 = 32_000_000;

#[entry]
fn main() -> ! {
    device::run("qemu-m55", CLOCK_HZ)
}
