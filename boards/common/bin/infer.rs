//! Runs the embedded model: counts instructions node by node, then checks golden vectors.
//!
//! Command line: the path of a vectors file, or nothing for one run on zeros. Every line of the output is a
//! word and its values; `xtask` reads them.

#![no_std]
#![no_main]

use cortex_m_rt::entry;
use static_cell::ConstStaticCell;
use stepshift_board::console::{exit, line};
use stepshift_board::counter::Counter;
use stepshift_board::semihosting;
use stepshift_runtime::{Model, SelfTestError, Session, Vectors, argmax};
use stepshift_tests::{Failure, check};

include!(concat!(env!("OUT_DIR"), "/model.rs"));
include!(concat!(env!("OUT_DIR"), "/buffers.rs"));

static ARENA: ConstStaticCell<[u8; ARENA_BYTES]> = ConstStaticCell::new([0; ARENA_BYTES]);
static FILE: ConstStaticCell<[u8; BUFFER_BYTES]> = ConstStaticCell::new([0; BUFFER_BYTES]);

#[entry]
fn main() -> ! {
    let outcome = run();
    if let Err(reason) = outcome {
        line(&["error".into(), reason.into()]);
    }
    exit(outcome.is_ok())
}

fn run() -> Result<(), &'static str> {
    let model = Model::parse_linked(&MODEL.0).map_err(|_| "the model is refused")?;
    let arena = ARENA.take();
    let mut command_line = [0; 128];
    let path = semihosting::arguments(&mut command_line).next();
    let file = FILE.take();
    let vectors = match path {
        None => None,
        Some(path) => {
            let bytes = semihosting::read(path, file).map_err(|error| error.text())?;
            Some(Vectors::parse(bytes).map_err(|_| "the vectors are refused")?)
        }
    };
    self_test(model, arena)?;
    count(model, arena, vectors.as_ref())?;
    vectors.map_or(Ok(()), |vectors| compare(model, arena, &vectors))
}

/// What real firmware does when it starts.
fn self_test(model: Model<'_, LINKS>, arena: &mut [u8]) -> Result<(), &'static str> {
    let mut session = Session::new(model, arena).map_err(|_| "the arena is too small")?;
    match session.self_test() {
        Ok(()) => line(&["self-test passed".into()]),
        Err(SelfTestError::NoCertificate) => {}
        Err(SelfTestError::Differs { node }) => {
            line(&["differs".into(), 0_u32.into(), u32::from(node).into()]);
            return Err("the self-test failed");
        }
        Err(_) => return Err("the self-test failed"),
    }
    Ok(())
}

/// Counts the instructions of one inference, on the first image of the vectors.
fn count(model: Model<'_, LINKS>, arena: &mut [u8], vectors: Option<&Vectors<'_>>) -> Result<(), &'static str> {
    let systick = cortex_m::Peripherals::take().ok_or("the peripherals are taken")?.SYST;
    let counter = Counter::new(systick).map_err(|_| "the clock does not count instructions")?;
    let mut session = Session::new(model, arena).map_err(|_| "the arena is too small")?;
    let input = session.input_mut().into_bytes();
    match vectors.map(|vectors| vectors.input(0)) {
        Some(codes) if codes.len() == input.len() => input.copy_from_slice(codes),
        _ => input.fill(0),
    }
    let mut instructions = [0; NODES];
    session.run_profiled(
        || counter.clock(),
        |index, elapsed| {
            if let Some(count) = instructions.get_mut(index) {
                *count += counter.instructions_of(elapsed);
            }
        },
    );
    for (node, count) in model.nodes().zip(instructions) {
        line(&["node".into(), node.name.as_str().into(), count.into()]);
    }
    Ok(())
}

fn compare(model: Model<'_, LINKS>, arena: &mut [u8], vectors: &Vectors<'_>) -> Result<(), &'static str> {
    let mut tensors = 0_usize;
    let outcome = check(model, vectors, arena, |image, output| {
        tensors += 1;
        if output.index + 1 == NODES {
            line(&["class".into(), image.into(), argmax(output.codes).into()]);
        }
    });
    let images = vectors.image_count();
    match outcome {
        Ok(()) => line(&["equal".into(), tensors.into(), images.into()]),
        Err(Failure::Node { image, node, .. }) => line(&["differs".into(), image.into(), node.into()]),
        Err(_) => {}
    }
    outcome.map_err(|failure| match failure {
        Failure::OtherModel => "the vectors were made for another model",
        Failure::Run(_) => "the arena is too small",
        Failure::Node { .. } => "a layer differs from the vectors",
        Failure::Class { .. } => "a class differs from the vectors",
    })
}
