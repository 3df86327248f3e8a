//! Kernels for cores without 32-bit Thumb instructions: Armv6-M and the Armv8-M baseline, Cortex-M0, M0+ and M23.
//!
//! A convolution gathers the inputs of two pixels into one column of words, one pixel in each half, so that one `MULS`
//! multiplies both by a weight: `tile` says how. Inputs and weights are read without a sign, as 128 more than they are: their
//! products then fill 16 bits and no more. The instructions are in `instructions`, each with a twin in Rust, so that
//! other cores and the host run packed models too, with the same integers.

#[cfg(stepshift_backend = "v6m")]
mod arm;
mod columns;
mod conv2d;
mod depthwise_conv2d;
mod fully_connected;
mod instructions;
mod layer;
mod taps;
mod tile;
#[cfg(not(stepshift_backend = "v6m"))]
mod twin;

pub use conv2d::conv2d;
pub use depthwise_conv2d::depthwise_conv2d;
pub use fully_connected::fully_connected;

use crate::format::Element;

/// What brings a byte of a code to one that is not negative: 128 more of an `i8`, the code itself of a `u8`.
const fn flip(element: Element) -> u8 {
    match element {
        Element::U8 => 0,
        Element::I8 | Element::I16 => 0x80,
    }
}
