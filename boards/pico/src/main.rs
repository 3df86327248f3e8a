//! Raspberry Pi Pico: RP2040, the first of its two Cortex-M0+.

#![no_std]
#![no_main]

use cortex_m_rt::entry;
use rp2040_hal::clocks::{Clock, init_clocks_and_plls};
use rp2040_hal::{Watchdog, pac};
use stepshift_board::device;

/// The crystal, in Hz.
const CRYSTAL_HZ: u32 = 12_000_000;

/// The second boot stage, for the flash chip of the Pico: the ROM runs it from the start of flash.
#[unsafe(link_section = ".boot2")]
#[used]
static BOOT2: [u8; 256] = rp2040_boot2::BOOT_LOADER_W25Q080;

#[entry]
fn main() -> ! {
    device::run("pico", clock_hz().unwrap_or(CRYSTAL_HZ))
}

/// Starts the PLLs; the core's clock.
fn clock_hz() -> Option<u32> {
    let mut chip = pac::Peripherals::take()?;
    let mut watchdog = Watchdog::new(chip.WATCHDOG);
    let (xosc, clocks, resets) = (chip.XOSC, chip.CLOCKS, &mut chip.RESETS);
    let clocks =
        init_clocks_and_plls(CRYSTAL_HZ, xosc, clocks, chip.PLL_SYS, chip.PLL_USB, resets, &mut watchdog).ok()?;
    Some(clocks.system_clock.freq().to_Hz())
}
