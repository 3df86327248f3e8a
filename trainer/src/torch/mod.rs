//! Training on libtorch.
//!
//! [`float_network`] is trained first, with batch norm; [`quantized_network`] goes on from its folded weights.
//! Both compute their layers by [`operators`]. [`training`] is the loop, [`checkpoint`] what it leaves behind.

pub mod batches;
pub mod checkpoint;
pub mod evaluation;
pub mod float_network;
pub mod operators;
pub mod optimizer;
pub mod quantize;
pub mod quantized_network;
pub mod shim;
pub mod training;
