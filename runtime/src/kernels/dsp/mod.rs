//! Kernels for cores with the DSP extension of Armv7E-M and Armv8-M: Cortex-M4, M7, M33.
//!
//! A convolution gathers the inputs of four pixels into a column of 16-bit pairs and multiplies it by two output channels at
//! a time: `tile` says how. The instructions are in `instructions`, each with a twin in Rust, so that other cores and
//! the host run packed models too, with the same integers.

mod affine_binary;
#[cfg(stepshift_backend = "dsp")]
mod arm;
mod average_pool2d;
mod binary;
mod columns;
mod conv2d;
mod depthwise_conv2d;
mod fully_connected;
mod instructions;
mod layer;
mod mean;
mod scale;
mod strips;
mod taps;
mod tile;
mod tile_twin;
#[cfg(not(stepshift_backend = "dsp"))]
mod twin;
mod winograd;
mod winograd_loops;
mod winograd_twin;

#[cfg(stepshift_backend = "mve")]
pub(super) use affine_binary::ScaledSum;
pub use affine_binary::{affine_binary, has_affine_sum};
pub use average_pool2d::{average_pool2d, has_average_pool};
pub use binary::{binary, has_sum};
pub use conv2d::conv2d;
pub use depthwise_conv2d::depthwise_conv2d;
pub use fully_connected::fully_connected;
pub use layer::has_end;
pub(super) use layer::saturate;
pub use mean::{has_mean, mean};
pub use strips::{in_place, runs_by_strips, strip_bytes};
pub(super) use tile::End;
pub use winograd::winograd;

/// Pixels whose columns a convolution builds at a time.
pub const CONV_COLUMNS: usize = 4;
