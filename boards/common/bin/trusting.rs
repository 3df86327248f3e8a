//! Replays the certificate of the embedded model, which the build has parsed and this program trusts: its kernels are those that the
//! model's nodes need and no more.

#![no_std]
#![no_main]

use cortex_m_rt::entry;
use static_cell::ConstStaticCell;
use stepshift_board::console::{exit, line};
use stepshift_runtime::{SelfTestError, Session};

include!(concat!(env!("OUT_DIR"), "/model.rs"));

static ARENA: ConstStaticCell<[u8; ARENA_BYTES]> = ConstStaticCell::new([0; ARENA_BYTES]);

#[entry]
fn main() -> ! {
    let (_, outcome) = (NODES, run());
    match outcome {
        Ok(()) => line(&["self-test passed".into()]),
        Err(reason) => line(&["error".into(), reason.into()]),
    }
    exit(outcome.is_ok())
}

fn run() -> Result<(), &'static str> {
    let mut session = Session::new(Trusted, ARENA.take()).map_err(|_| "the arena is too small")?;
    session.self_test().map_err(|error| match error {
        SelfTestError::Differs { node } => {
            line(&["differs".into(), 0_u32.into(), u32::from(node).into()]);
            "the self-test failed"
        }
        _ => "the model has no self-test",
    })
}
