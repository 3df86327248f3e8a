//! Counts the instructions of models that are read while it runs, node by node.
//!
//! Command line: the path of a list of models, one path a line. For every node it prints the number of the model, the
//! number of the node, its instructions and a digest of what it wrote. The nodes are decoded before, as those of an embedded model
//! are while it is compiled.

#![no_std]
#![no_main]

use cortex_m_rt::entry;
use cortex_m_semihosting::hprintln;
use static_cell::ConstStaticCell;
use stepshift_board::console::exit;
use stepshift_board::counter::Counter;
use stepshift_board::{Aligned, semihosting};
use stepshift_runtime::format::{ALL_LINKS, Links, OperatorKind};
use stepshift_runtime::{Backend, DecodedBuffers, Model, Session, digest};

include!(concat!(env!("OUT_DIR"), "/buffers.rs"));

/// All but stages that run patch by patch, which a firmware without them does not link either.
const LINKS: Links = ALL_LINKS & !(OperatorKind::PatchInput.bit() | OperatorKind::PatchOutput.bit());

/// Nodes that are counted of a model; a layer by itself is one or two.
const MOST_NODES: usize = 32;

static LIST: ConstStaticCell<[u8; BUFFER_BYTES / 4]> = ConstStaticCell::new([0; BUFFER_BYTES / 4]);
static FILE: ConstStaticCell<Aligned<BUFFER_BYTES>> = ConstStaticCell::new(Aligned([0; BUFFER_BYTES]));
static ARENA: ConstStaticCell<Aligned<BUFFER_BYTES>> = ConstStaticCell::new(Aligned([0; BUFFER_BYTES]));

#[entry]
fn main() -> ! {
    let outcome = run();
    if let Err(reason) = outcome {
        hprintln!("error: {}", reason);
    }
    exit(outcome.is_ok())
}

fn run() -> Result<(), &'static str> {
    hprintln!("backend {}", Backend::NATIVE.name());
    let mut line = [0; 128];
    let path = semihosting::arguments(&mut line).next().ok_or("the command line names no list")?;
    let list = semihosting::read(path, LIST.take()).map_err(|error| error.text())?;
    let systick = cortex_m::Peripherals::take().ok_or("the peripherals are taken")?.SYST;
    let counter = Counter::new(systick).map_err(|_| "the clock does not count instructions")?;
    let (file, arena) = (FILE.take(), ARENA.take());
    for (number, path) in core::str::from_utf8(list).unwrap_or_default().lines().enumerate() {
        let bytes = semihosting::read(path, &mut file.0).map_err(|error| error.text())?;
        let model = Model::<LINKS>::parse_linked(bytes).map_err(|_| "a model is refused")?;
        let mut buffers = DecodedBuffers::<MOST_NODES, { MOST_NODES + 1 }>::new();
        let model = model.decoded(&mut buffers).map_err(|_| "a model has more nodes than are counted")?;
        let mut session = Session::new(model, &mut arena.0).map_err(|_| "the arena is too small")?;
        fill(session.input_mut().into_bytes());
        let mut counts = [0; MOST_NODES];
        session.run_profiled(
            || counter.clock(),
            |index, elapsed| {
                if let Some(count) = counts.get_mut(index) {
                    *count = counter.instructions_of(elapsed);
                }
            },
        );
        // Once more, for what every node writes.
        fill(session.input_mut().into_bytes());
        session.run_observed(|output| {
            let count = counts.get(output.index).copied().unwrap_or_default();
            hprintln!("node {} {} {} {}", number, output.index, count, digest(output.codes));
        });
    }
    Ok(())
}

/// Bytes without a pattern that a kernel could profit from: the high bytes of a linear congruence.
fn fill(bytes: &mut [u8]) {
    let mut state = 1_u32;
    for byte in bytes {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        *byte = (state >> 24) as u8;
    }
}
