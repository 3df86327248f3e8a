//! Raspberry Pi Pico 2: RP2350, the first of its two Cortex-M33. It runs at the clock of the crystal: cycles are counted,
//! whatever their length.

#![no_std]
#![no_main]

use cortex_m_rt::entry;
use rp235x_pac::Peripherals;
use stepshift_board::device;

/// The crystal, in Hz.
const CRYSTAL_HZ: u32 = 12_000_000;

/// Tells the boot ROM that this is a secure program for the Arm cores: the least image definition of the RP2350's data
/// sheet, 5.9.5.1.
#[unsafe(link_section = ".start_block")]
#[used]
static IMAGE: [u32; 5] = [0xffff_ded3, 0x1021_0142, 0x0000_01ff, 0x0000_0000, 0xab12_3579];

#[entry]
fn main() -> ! {
    run_from_crystal();
    device::run("pico2", CRYSTAL_HZ)
}

/// Switches the core from the ring oscillator, which is of no known frequency, to the crystal.
fn run_from_crystal() {
    let Some(chip) = Peripherals::take() else { return };
    chip.XOSC.ctrl().write(|w| w.freq_range()._1_15mhz().enable().enable());
    while chip.XOSC.status().read().stable().bit_is_clear() {}
    // The system clock is the reference clock after reset.
    chip.CLOCKS.clk_ref_ctrl().modify(|_, w| w.src().xosc_clksrc());
    while chip.CLOCKS.clk_ref_selected().read().bits() != 1 << 2 {}
}
