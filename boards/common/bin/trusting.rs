//! Runs the embedded model, which the build has parsed and this program trusts: its kernels are those that the model's nodes need and
//! no more. Replays its certificate, then counts instructions node by node, on the certificate's input.

#![no_std]
#![no_main]

use cortex_m_rt::entry;
use static_cell::ConstStaticCell;
use stepshift_board::console::{exit, line};
use stepshift_board::report;
use stepshift_runtime::Session;

include!(concat!(env!("OUT_DIR"), "/model.rs"));

static ARENA: ConstStaticCell<[u8; ARENA_BYTES]> = ConstStaticCell::new([0; ARENA_BYTES]);

#[entry]
fn main() -> ! {
    let outcome = run();
    if let Err(reason) = outcome {
        line(&["error".into(), reason.into()]);
    }
    exit(outcome.is_ok())
}

fn run() -> Result<(), &'static str> {
    let systick = cortex_m::Peripherals::take().ok_or("the peripherals are taken")?.SYST;
    let mut session = Session::new(Trusted, ARENA.take()).map_err(|_| "the arena is too small")?;
    report::self_test(&mut session)?;
    if let Some(certificate) = session.model().certificate() {
        let input = session.input_mut().into_bytes();
        input.iter_mut().zip(certificate.input).for_each(|(target, byte)| *target = *byte);
    }
    report::count::<NODES, _, _>(&mut session, systick)
}
