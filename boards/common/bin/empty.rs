//! Firmware that does nothing: what every program takes for its start.

#![no_std]
#![no_main]

use core::panic::PanicInfo;

use cortex_m_rt::entry;

#[panic_handler]
fn panic(_: &PanicInfo) -> ! {
    stop()
}

#[entry]
fn main() -> ! {
    stop()
}

fn stop() -> ! {
    loop {
        cortex_m::asm::wfi();
    }
}
