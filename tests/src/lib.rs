//! What host and firmware share: one [`check()`] of a model against golden vectors, what a device and its host say to one
//! another ([`wire`]), and how a model lies in a region of flash of its own ([`slot_file`]).
//!
//! [`sound`] makes samples that both hear, [`errors`] says what a squared error is.
//!
//! On the host there are also [`mod@reference`], an independent model of the arithmetic, [`random`],
//! networks over every operator, and [`fixtures`].

#![no_std]

#[cfg(feature = "host")]
extern crate std;

mod check;
pub mod errors;
#[cfg(feature = "host")]
pub mod fixtures;
#[cfg(feature = "host")]
pub mod mutate;
#[cfg(feature = "host")]
pub mod random;
#[cfg(feature = "host")]
pub mod reference;
#[cfg(feature = "host")]
pub mod suite;

mod slot;
pub mod sound;
pub mod wire;

pub use check::{Failure, check};
pub use slot::{SLOT_HEADER_BYTES, slot_file, slot_header};
