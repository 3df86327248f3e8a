//! Runs the embedded model: replays its certificate, counts instructions node by node, then checks golden vectors.
//!
//! Command line: the path of a vectors file, or nothing for one run on zeros. Every line of the output is a
//! word and its values; `xtask` reads them.

#![no_std]
#![no_main]

use cortex_m_rt::entry;
use static_cell::ConstStaticCell;
use stepshift_board::console::{exit, line};
use stepshift_board::{report, semihosting};
use stepshift_runtime::{Model, Session, Vectors, argmax};
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
    count(model, arena, vectors.as_ref())?;
    vectors.map_or(Ok(()), |vectors| compare(model, arena, &vectors))
}

/// One inference, on the first image of the vectors.
fn count(model: Model<'_, LINKS>, arena: &mut [u8], vectors: Option<&Vectors<'_>>) -> Result<(), &'static str> {
    let systick = cortex_m::Peripherals::take().ok_or("the peripherals are taken")?.SYST;
    let mut session = Session::new(model, arena).map_err(|_| "the arena is too small")?;
    report::self_test(&mut session)?;
    let input = session.input_mut().into_bytes();
    match vectors.map(|vectors| vectors.input(0)) {
        Some(codes) if codes.len() == input.len() => input.copy_from_slice(codes),
        _ => input.fill(0),
    }
    report::count::<NODES, _, _>(&mut session, systick)
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
