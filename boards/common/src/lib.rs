//! What the boards share: a [`console`], [`semihosting`] files, an instruction [`counter`], and a panic handler.

#![no_std]

pub mod console;
pub mod counter;
pub mod semihosting;
