//! Runs the embedded model: counts instructions node by node, then checks golden vectors.
//!
//! Command line: the path of a vectors file, or nothing for one run on zeros. Every line of the output is a
//! word and its values; `xtask` reads them.

#![no_std]
#![no_main]

use cortex_m_rt::entry;
use cortex_m_semihosting::{debug, hprintln};
use panic_semihosting as _;
use static_cell::ConstStaticCell;
use stepshift_board::{counter::Counter, semihosting};
use stepshift_runtime::{Model, Session, Vectors, argmax};
use stepshift_tests::check;

include!(concat!(env!("OUT_DIR"), "/model.rs"));

/// SysTick runs at 25 MHz: 40 ns a tick, 1 ns an instruction.
const INSTRUCTIONS_PER_TICK: u32 = 40;

static ARENA: ConstStaticCell<[u8; ARENA_BYTES]> = ConstStaticCell::new([0; ARENA_BYTES]);
static FILE: ConstStaticCell<[u8; 2 << 20]> = ConstStaticCell::new([0; 2 << 20]);

#[entry]
fn main() -> ! {
    debug::exit(if run().is_some() { debug::EXIT_SUCCESS } else { debug::EXIT_FAILURE });
    loop {
        cortex_m::asm::wfi();
    }
}

fn run() -> Option<()> {
    let model = Model::parse(&MODEL).map_err(|error| hprintln!("error {}", error)).ok()?;
    let arena = ARENA.take();
    let mut line = [0; 600];
    let path = semihosting::arguments(&mut line).next();
    let file = FILE.take();
    let vectors = match path {
        None => None,
        Some(path) => {
            let bytes = semihosting::read(path, file).map_err(|error| hprintln!("error {}: {:?}", path, error)).ok()?;
            Some(Vectors::parse(bytes).map_err(|error| hprintln!("error {}: {}", path, error)).ok()?)
        }
    };
    count(model, arena, vectors.as_ref())?;
    let Some(vectors) = vectors else { return Some(()) };
    let outcome = check(model, &vectors, arena, |image, output| {
        if output.index + 1 == NODES {
            hprintln!("class {} {}", image, argmax(output.codes));
        }
    });
    match outcome {
        Ok(()) => hprintln!("equal {} {}", vectors.image_count() * NODES, vectors.image_count()),
        Err(failure) => hprintln!("error {}", failure),
    }
    outcome.ok()
}

/// Counts the instructions of one inference, on the first image of the vectors.
fn count(model: Model<'_>, arena: &mut [u8], vectors: Option<&Vectors<'_>>) -> Option<()> {
    let systick = cortex_m::Peripherals::take()?.SYST;
    let counter = Counter::new(systick, INSTRUCTIONS_PER_TICK)
        .map_err(|error| hprintln!("error {} instructions were counted as {}", error.expected, error.counted))
        .ok()?;
    let mut session = Session::new(model, arena).map_err(|error| hprintln!("error {}", error)).ok()?;
    let input = session.input_mut();
    match vectors.map(|vectors| vectors.input(0)) {
        Some(codes) if codes.len() == input.len() => input.copy_from_slice(codes),
        _ => input.fill(0),
    }
    let mut instructions = [0; NODES];
    let mut start = counter.now();
    session.run_observed(|output| {
        if let Some(count) = instructions.get_mut(output.index) {
            *count = counter.since(start);
        }
        start = counter.now();
    });
    for (node, count) in model.nodes().zip(instructions) {
        hprintln!("node {} {}", node.name, count);
    }
    let total: u64 = instructions.iter().map(|count| u64::from(*count)).sum();
    hprintln!("instructions {}", total);
    Some(())
}
