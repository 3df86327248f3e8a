//! microflow: a procedural macro makes Rust of a .tflite file, which the compiler then sees whole.

#![no_std]
#![no_main]

use cortex_m_rt::entry;
use microflow::buffer::Buffer2D;
use microflow::tensor::*;
use stepshift_peers_firmware::{Input, measure};

include!(concat!(env!("OUT_DIR"), "/microflow.rs"));

#[entry]
fn main() -> ! {
    measure(prepare, infer, code)
}

/// The function that the macro makes: between codes, without the way from and to float.
#[inline(never)]
fn infer(input: ModelInput) -> ModelOutput {
    Network::predict_inner(input)
}
