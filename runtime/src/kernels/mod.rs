//! Dispatch: which backend computes which operator.
//!
//! [`portable`] is normative: plain loops, the spec in Rust. Every kernel is total: operands that
//! contradict each other leave outputs unwritten and never panic.

mod backend;
mod bands;
pub mod bytes;
mod cases;
mod dispatch;
pub mod dsp;
#[cfg(feature = "std")]
pub(crate) mod host;
pub mod mve;
mod operand;
pub mod portable;
pub mod v6m;
mod weight_codes;
mod window;

pub use backend::Backend;
pub use bands::Bands;
pub(crate) use cases::{cases, details};
pub use dispatch::{affine_binary, binary, fully_connected, mean, slide};
#[cfg(feature = "std")]
pub use host::InstructionSet;
pub use operand::{Code, InOut, Typed, View, ViewMut};
pub use portable::{
    affine_mean, affine_softmax, argmax, clip, concat_part, leaky_relu, pad, patch_input, patch_output, rescale, slice,
    softmax, stream, table, transpose, transpose_conv2d, upsample_bilinear, upsample_nearest,
};
pub(crate) use weight_codes::by_width;
pub use weight_codes::{AnyWidth, Bytes, Packed, WeightCodes, Words};
