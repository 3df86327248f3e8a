//! What host tests and device firmware share: one [`check()`] of a model against golden vectors.
//!
//! [`sound`] makes samples that both hear.
//!
//! On the host there are also [`mod@reference`], an independent model of the arithmetic, [`random`],
//! networks over every operator, and [`fixtures`].

#![no_std]

#[cfg(feature = "host")]
extern crate std;

mod check;
#[cfg(feature = "host")]
pub mod fixtures;
#[cfg(feature = "host")]
pub mod mutate;
#[cfg(feature = "host")]
pub mod random;
#[cfg(feature = "host")]
pub mod reference;

pub mod sound;

pub use check::{Failure, check};
