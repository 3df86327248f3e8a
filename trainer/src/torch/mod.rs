//! Training on libtorch.
//!
//! [`float_network`] is trained first, with batch norm; [`quantized_network`] goes on from its folded weights.
//! Both compute their layers by [`operators`]. [`training`] is the loop, [`checkpoint`] what it leaves behind. [`ptq`] quantizes without
//! training. [`nics_fix`] is for networks built in Rust.

pub mod augmentation;
pub mod batches;
pub mod checkpoint;
pub mod device;
pub mod diagnosis;
pub mod ema;
pub mod evaluation;
pub mod float_network;
pub mod layer_report;
pub mod learner;
pub mod losses;
pub mod memory;
pub mod nics_fix;
pub mod objective;
pub mod operators;
pub mod optimizer;
pub mod ptq;
pub mod quantize;
pub mod quantized_network;
pub mod recording;
pub mod run_folder;
pub mod scoring;
pub mod shim;
pub mod training;

#[cfg(test)]
mod test_numbers;
