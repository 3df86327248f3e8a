//! What the boards share: [`semihosting`] files and an instruction [`counter`].

#![no_std]

pub mod counter;
pub mod semihosting;
