//! The least firmware around an embedded model, without counters and messages: what it takes beyond `empty` is the runtime.
//!
//! Trusts the model, which the build has parsed; with the feature `loader` it checks it itself.

#![no_std]
#![no_main]

use core::hint::black_box;
use core::panic::PanicInfo;

use cortex_m_rt::entry;
use static_cell::ConstStaticCell;
use stepshift_runtime::Session;

include!(concat!(env!("OUT_DIR"), "/model.rs"));

static ARENA: ConstStaticCell<[u8; ARENA_BYTES]> = ConstStaticCell::new([0; ARENA_BYTES]);

#[panic_handler]
fn panic(_: &PanicInfo) -> ! {
    stop()
}

#[entry]
fn main() -> ! {
    let _ = (NODES, infer());
    stop()
}

fn infer() -> Option<()> {
    #[cfg(feature = "loader")]
    let model = stepshift_runtime::Model::<LINKS>::parse_linked(&MODEL.0).ok()?;
    #[cfg(not(feature = "loader"))]
    let model = Trusted;
    // Run where it is made: a session that is moved is copied.
    if let Ok(session) = &mut Session::new(model, ARENA.try_take()?) {
        black_box(session.input_mut().into_bytes());
        session.run();
        black_box(session.output());
    }
    Some(())
}

fn stop() -> ! {
    loop {
        cortex_m::asm::wfi();
    }
}
