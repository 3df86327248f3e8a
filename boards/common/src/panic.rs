//! What firmware does when it panics: tells where, and stops.

use core::panic::PanicInfo;

/// Where a panic began.
fn place<'a>(info: &'a PanicInfo<'_>) -> (&'a str, u32) {
    info.location().map_or(("", 0), |location| (location.file(), location.line()))
}

#[cfg(not(feature = "rtt"))]
#[panic_handler]
fn panic(info: &PanicInfo<'_>) -> ! {
    use crate::console::{exit, line};

    let (file, number) = place(info);
    line(&["error panic at".into(), file.into(), number.into()]);
    exit(false)
}

#[cfg(feature = "rtt")]
#[panic_handler]
fn panic(info: &PanicInfo<'_>) -> ! {
    let (file, number) = place(info);
    defmt::error!("panic at {=str}:{=u32}", file, number);
    loop {
        cortex_m::asm::wfi();
    }
}
