//! This repository's runtime, as its users have it: the model was checked by the build.

#![no_std]
#![no_main]

use cortex_m_rt::entry;
use static_cell::{ConstStaticCell, StaticCell};
use stepshift_board::console::exit;
use stepshift_peers_firmware::{Input, measure};
use stepshift_runtime::Session;

include!(concat!(env!("OUT_DIR"), "/stepshift.rs"));

type Running = Session<'static, 'static, { model::LINKS }, model::Trusted>;

/// Aligned as a Cortex-M4 needs it.
#[repr(align(4))]
struct Arena([u8; model::ARENA_BYTES]);

static ARENA: ConstStaticCell<Arena> = ConstStaticCell::new(Arena([0; model::ARENA_BYTES]));

static SESSION: StaticCell<Running> = StaticCell::new();

#[entry]
fn main() -> ! {
    measure(prepare, infer, code)
}

fn prepare(input: Input) -> &'static mut Running {
    let Ok(session) = Session::new(model::trusted(), &mut ARENA.take().0) else { exit(false) };
    let session = SESSION.init(session);
    let Some(codes) = session.input_mut().into_i8() else { exit(false) };
    for (target, code) in codes.iter_mut().zip(input) {
        *target = code;
    }
    session
}

#[inline(never)]
fn infer(session: &'static mut Running) -> &'static mut Running {
    session.run();
    session
}

fn code(session: &&'static mut Running, index: usize) -> i8 {
    session.output().as_i8().and_then(|codes| codes.get(index).copied()).unwrap_or_default()
}
