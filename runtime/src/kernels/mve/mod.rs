//! Kernels for cores with the M-profile vector extension (Helium): Cortex-M55.
//!
//! A convolution gathers the inputs of three pixels into columns of bytes and multiplies them by two output channels at a time:
//! `tile` says how. A depthwise convolution takes 16 channels at a time: `lanes`, or strips of one channel: `strips`. The instructions are in
//! `instructions`, each with a twin in Rust, so that other cores and the host run packed models too, with the same
//! integers.

#[cfg(stepshift_backend = "mve")]
mod affine_binary;
#[cfg(stepshift_backend = "mve")]
mod arm;
#[cfg(stepshift_backend = "mve")]
mod average_pool2d;
#[cfg(stepshift_backend = "mve")]
mod binary;
mod columns;
mod conv2d;
mod depthwise_conv2d;
mod ends;
mod fully_connected;
mod instructions;
mod lanes;
mod layer;
#[cfg(stepshift_backend = "mve")]
mod mean;
mod strips;
mod tile;
#[cfg(not(stepshift_backend = "mve"))]
mod twin;
mod vectors;

#[cfg(stepshift_backend = "mve")]
pub use affine_binary::affine_binary;
#[cfg(stepshift_backend = "mve")]
pub use average_pool2d::average_pool2d;
#[cfg(stepshift_backend = "mve")]
pub use binary::binary;
pub use conv2d::conv2d;
pub use depthwise_conv2d::{depthwise_conv2d, multiplier_bytes};
pub use fully_connected::fully_connected;
#[cfg(stepshift_backend = "mve")]
pub use mean::mean;
pub use strips::{runs_by_strips, strip_bytes};
pub use vectors::{has_mean, has_sum};

/// Pixels whose columns a convolution builds at a time.
pub const CONV_COLUMNS: usize = 3;
