//! Links only if no panic can be reached from `Model::parse` and `Session::run`, with every operator, and from the front
//! end: the panic handler calls a function that does not exist. It is never run. Its deepest chain of calls is the bound of
//! the runtime's stack.

#![no_std]
#![no_main]

use core::panic::PanicInfo;

use cortex_m_rt::entry;
use static_cell::ConstStaticCell;
use stepshift_runtime::format::ALL_LINKS;
use stepshift_runtime::front_end::{FeatureStream, FrontEnd};
use stepshift_runtime::{Model, Session, argmax, digest};

include!(concat!(env!("OUT_DIR"), "/model.rs"));

/// Samples and words of the front end.
const FRAME_LEN: usize = 480;
const SCRATCH_LEN: usize = 552;

static FRAME: ConstStaticCell<[i16; FRAME_LEN]> = ConstStaticCell::new([0; FRAME_LEN]);
static SCRATCH: ConstStaticCell<[i32; SCRATCH_LEN]> = ConstStaticCell::new([0; SCRATCH_LEN]);
static ARENA: ConstStaticCell<[u8; ARENA_BYTES]> = ConstStaticCell::new([0; ARENA_BYTES]);
static TRUSTED_ARENA: ConstStaticCell<[u8; ARENA_BYTES]> = ConstStaticCell::new([0; ARENA_BYTES]);

// SAFETY: nothing defines it, so that no program that calls it exists.
unsafe extern "C" {
    safe fn stepshift_a_panic_is_reachable() -> !;
}

#[panic_handler]
fn panic(_: &PanicInfo) -> ! {
    stepshift_a_panic_is_reachable()
}

#[entry]
fn main() -> ! {
    let bytes = core::hint::black_box(&MODEL.0[..]);
    let result = core::hint::black_box(infer(bytes) + infer_trusted() + listen(bytes));
    #[cfg(feature = "deliberate-panic")]
    assert!(result < NODES);
    #[cfg(feature = "deliberate-float")]
    core::hint::black_box(core::hint::black_box(result as f32) * 1.5);
    let _ = (result, NODES, LINKS);
    loop {
        cortex_m::asm::wfi();
    }
}

/// Bytes to the class and a digest: all of the inference path.
fn infer(bytes: &[u8]) -> usize {
    let trusted = Model::<ALL_LINKS>::parse_trusted(bytes).map_or(0, |model| model.step_count());
    let Ok(model) = Model::parse(bytes) else { return trusted };
    let Some(arena) = ARENA.try_take() else { return 0 };
    let Ok(mut session) = Session::new(model, arena) else { return 0 };
    session.input_mut().fill(1);
    let mut digests = 0;
    session.run_observed(|output| digests ^= digest(output.codes));
    argmax(session.output()) ^ digests as usize ^ usize::from(session.self_test().is_ok())
}

/// The path of a model that the compiler knows.
fn infer_trusted() -> usize {
    let Some(arena) = TRUSTED_ARENA.try_take() else { return 0 };
    let Ok(mut session) = Session::new(Trusted, core::hint::black_box(arena)) else { return 0 };
    session.input_mut().fill(core::hint::black_box(1));
    session.run();
    argmax(session.output())
}

/// Bytes to a row of features: all of the front end.
fn listen(bytes: &[u8]) -> usize {
    let Ok(front_end) = FrontEnd::parse(bytes) else { return 0 };
    let (Some(frame), Some(scratch)) = (FRAME.try_take(), SCRATCH.try_take()) else { return 0 };
    let Ok(mut stream) = FeatureStream::new(front_end, frame, scratch) else { return 0 };
    let (mut row, mut samples) = ([0; 128], core::hint::black_box(&[1_i16; 100][..]));
    usize::from(stream.next_row(&mut samples, &mut row)) + usize::from(row[0].unsigned_abs())
}
