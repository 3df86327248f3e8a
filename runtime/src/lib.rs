//! Runs fixed-point networks in integers, bit-exact with the training that made them.
//!
//! The layers of this crate, from the bytes up:
//!
//! - [`format`]: what a model file says, decoded in place.
//! - [`Model`]: a file that was checked once, by [`Model::parse`].
//! - [`Session`]: a model with an arena; [`Session::run`] cannot fail.
//! - [`front_end`]: sound to features, for networks that listen.
//! - [`kernels`]: one operator a file; the portable ones are normative.
//! - [`arithmetic`]: accumulate, shift, saturate: the rule that every backend obeys.
//!
//! ```
//! use stepshift_runtime::{Model, Session, argmax};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let model = Model::parse(include_bytes!("../testdata/small.stepshift"))?;
//! let mut arena = [0; 256]; // at least model.arena_bytes()
//! let mut session = Session::new(model, &mut arena)?;
//! session.input_mut().fill(3);
//! session.run();
//! assert_eq!(argmax(session.output()), 0);
//! # Ok(())
//! # }
//! ```
//!
//! There is no allocation, no floating point and no `unsafe` here; nothing panics.
//!
//! # Features
//!
//! All of them add and take nothing away; none is on by default.
//!
//! - `defmt`: `defmt::Format` on every public type.
//! - `micromath`: `softmax`, in floating point, outside the bit-exact part.
//! - `signed`: `verify_signature`, for models of the owner's key alone.
//! - `std`: the standard library's parts of the dependencies, for hosts, and kernels for the processor's vector instructions,
//!   which allocate: the same codes, sooner.
//!
//! The least supported Rust is 1.95; raising it is a change of the minor version.

#![no_std]
#![deny(unsafe_code)]

#[cfg(any(test, feature = "std"))]
extern crate std;

pub mod arithmetic;
#[doc(hidden)]
pub mod embed;
pub mod format;
pub mod front_end;
pub mod kernels;
pub mod patches;

mod arena;
mod argmax;
mod codes;
mod digest;
mod error;
#[cfg(feature = "defmt")]
mod log;
mod model;
mod session;
#[cfg(feature = "signed")]
mod signed;
#[cfg(feature = "micromath")]
mod softmax;
mod squared_error;
mod stage;
mod vectors;
mod verify;

pub use argmax::argmax;
pub use codes::{Codes, CodesMut};
pub use digest::{crc32, digest};
pub use error::{LoadError, NodeFault, RunError, SelfTestError, TensorFault};
pub use kernels::Backend;
#[cfg(feature = "std")]
pub use kernels::InstructionSet;
pub use model::{DecodedBuffers, Model, ModelHandle, Nodes};
pub use session::{NodeOutput, Session};
#[cfg(feature = "signed")]
pub use signed::verify_signature;
#[cfg(feature = "micromath")]
pub use softmax::softmax;
pub use squared_error::squared_error;
/// Most bytes of stack that [`Model::parse`], [`Session::run`], [`Session::step`] and [`Session::self_test`] take below the
/// function that calls them, interrupts apart: what a build can hold against its RAM.
///
/// A bound for firmware that is built with optimizations, as `cargo build --release` does; on hosts it means nothing.
///
/// ```
/// stepshift_runtime::include_model!(mod small = "../testdata/small.stepshift");
///
/// const RAM_BYTES: usize = 16 * 1024;
/// /// Variables, and the stack of all else.
/// const OTHER_BYTES: usize = 4 * 1024;
/// const _: () = assert!(small::ARENA_BYTES + stepshift_runtime::STACK_BYTES + OTHER_BYTES <= RAM_BYTES);
/// ```
pub const STACK_BYTES: usize = Backend::NATIVE.stack_bytes();

pub use vectors::{Vectors, VectorsError};
pub use verify::MAX_LIVE_TENSORS;
