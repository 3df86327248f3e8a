//! This repository's runtime, as its users have it: the model was checked by the build.

#![no_std]
#![no_main]

use cortex_m_rt::entry;
use static_cell::ConstStaticCell;
use stepshift_board::console::exit;
use stepshift_peers_firmware::{Input, measure};
use stepshift_runtime::Session;

include!(concat!(env!("OUT_DIR"), "/stepshift.rs"));

/// Aligned as a Cortex-M4 needs it.
#[repr(align(4))]
struct Arena([u8; model::ARENA_BYTES]);

static ARENA: ConstStaticCell<Arena> = ConstStaticCell::new(Arena([0; model::ARENA_BYTES]));

#[entry]
fn main() -> ! {
    measure(prepare, infer, code)
}

#[inline(always)]
fn session(arena: &mut Arena) -> Session<'static, '_, { model::LINKS }, model::Trusted> {
    let Ok(session) = Session::new(model::trusted(), &mut arena.0) else { exit(false) };
    session
}

fn prepare(input: Input) -> &'static mut Arena {
    let arena = ARENA.take();
    let mut session = session(arena);
    let Some(codes) = session.input_mut().into_i8() else { exit(false) };
    for (target, code) in codes.iter_mut().zip(input) {
        *target = code;
    }
    arena
}

#[inline(never)]
fn infer(arena: &'static mut Arena) -> Option<&'static [i8]> {
    let mut session = session(arena);
    session.run();
    session.into_output().as_i8()
}

fn code(output: &Option<&'static [i8]>, index: usize) -> i8 {
    output.and_then(|codes| codes.get(index).copied()).unwrap_or_default()
}
