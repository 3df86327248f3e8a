//! What the boards share: the firmware [`device`] with its [`clock`] and its link to the host; and for programs that run
//! in QEMU alone a [`console`], [`semihosting`] files, an instruction [`counter`] and what they [`report`] of a model.

#![no_std]

pub mod clock;
pub mod console;
#[cfg(target_os = "none")]
mod coprocessor;
pub mod counter;
pub mod device;
mod link;
mod panic;
mod region;
pub mod report;
pub mod semihosting;

/// Bytes as a model lies in flash, and an arena in firmware.
#[derive(Debug)]
#[repr(align(16))]
pub struct Aligned<const LEN: usize>(pub [u8; LEN]);
