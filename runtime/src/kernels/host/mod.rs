//! Kernels for the vector instructions of a workstation's processor, found out while running.
//!
//! They read the operators' own order of weights and keep, with the session, what they make of it: filters a vector of
//! output channels wide ([`filters`]), for convolutions of 3x3 also in the domain of Winograd ([`winograd`]). The input of
//! a layer is copied into its frame of padding ([`image`]), so that no loop has an edge: as bytes where the processor
//! multiplies bytes, else widened to 16 bits. The algorithm is safe Rust over the few operations of [`vectors`]; `x86` has
//! an instruction, or a few, for each.

mod affine_binary;
mod byte_depthwise;
mod conv2d;
mod depthwise;
mod elementwise;
mod ending;
mod factor;
mod filters;
mod image;
mod instruction_set;
mod layers;
mod layout;
mod pools;
mod prepared;
mod tile;
mod vectors;
mod winograd;
#[cfg(target_arch = "x86_64")]
mod x86;

pub use instruction_set::InstructionSet;
pub(crate) use layers::{Layers, inputs};
