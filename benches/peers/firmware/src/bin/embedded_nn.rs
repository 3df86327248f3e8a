//! embedded-nn: its kernels, called layer by layer as its code generator would.

#![no_std]
#![no_main]

use cortex_m_rt::entry;
use embedded_nn::*;
use static_cell::ConstStaticCell;
use stepshift_peers_firmware::{INPUT_LEN, Input, measure};

include!(concat!(env!("OUT_DIR"), "/embedded_nn.rs"));

#[entry]
fn main() -> ! {
    measure(prepare, infer, code)
}
