//! This repository's runtime, as its users have it: the model was checked by the build.

#![no_std]
#![no_main]

use cortex_m_rt::entry;
use static_cell::{ConstStaticCell, StaticCell};
use stepshift_board::Aligned;
use stepshift_board::console::exit;
use stepshift_peers_firmware::{Input, Output, measure};
use stepshift_runtime::{RunError, Session};

include!(concat!(env!("OUT_DIR"), "/stepshift.rs"));

type Running = Session<'static, 'static, { model::LINKS }, model::Trusted>;

static ARENA: ConstStaticCell<Aligned<{ model::ARENA_BYTES }>> = ConstStaticCell::new(Aligned([0; model::ARENA_BYTES]));

/// Where it is made, since a session that is moved is copied.
static SESSION: StaticCell<Result<Running, RunError>> = StaticCell::new();

#[entry]
fn main() -> ! {
    measure(prepare, infer, finish)
}

fn prepare(input: &Input) -> &'static mut Running {
    let session = SESSION.init_with(|| Session::new(model::trusted(), &mut ARENA.take().0));
    let Ok(session) = session else { exit(false) };
    for (byte, code) in session.input_mut().into_bytes().iter_mut().zip(input) {
        *byte = code.cast_unsigned();
    }
    session
}

#[inline(never)]
fn infer(session: &'static mut Running) -> &'static mut Running {
    session.run();
    session
}

fn finish(session: &'static mut Running) -> Output {
    let bytes = session.output().bytes();
    core::array::from_fn(|index| bytes.get(index).copied().unwrap_or_default().cast_signed())
}
