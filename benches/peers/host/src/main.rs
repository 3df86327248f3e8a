//! Time of an inference by the runtime on one thread, with the vector instructions that the processor has.
//!
//! For each model file it prints a line of three columns: nanoseconds, the instruction set, the codes. A time is the least
//! of many means.

use std::time::{Duration, Instant};

use stepshift_runtime::{DecodedBuffers, InstructionSet, Model, Session};

/// Most nodes of a model.
const MOST_NODES: usize = 32;

/// Of the runs whose mean is taken.
const BATCH: Duration = Duration::from_millis(5);

/// Of all of them.
const TOTAL: Duration = Duration::from_millis(400);

fn main() -> Result<(), Box<dyn std::error::Error>> {
    for path in std::env::args().skip(1) {
        let bytes = std::fs::read(&path)?;
        let model = Model::parse(&bytes).map_err(|error| format!("{path}: {error}"))?;
        // Once, as LiteRT prepares its nodes before its runs.
        let mut buffers = DecodedBuffers::<MOST_NODES, { MOST_NODES + 1 }>::new();
        let model = model.decoded(&mut buffers).map_err(|error| format!("{path}: {error}"))?;
        let mut arena = vec![0; model.arena_bytes()];
        let mut session = Session::new(model, &mut arena).map_err(|error| format!("{path}: {error}"))?;
        let input = congruence(session.input_mut().into_bytes().len());
        // A run may put other tensors where its input was.
        let mut infer = || {
            session.input_mut().into_bytes().copy_from_slice(&input);
            session.run();
        };
        infer();
        let nanoseconds = fastest(&mut infer);
        let codes = session.output().bytes().iter().map(|byte| byte.cast_signed().to_string());
        let codes = codes.collect::<Vec<_>>().join(" ");
        println!("{nanoseconds}\t{}\t{codes}", InstructionSet::detected().name());
    }
    Ok(())
}

/// The input of every benchmark in this repository.
fn congruence(len: usize) -> Vec<u8> {
    let mut state = 1_u32;
    let mut byte = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 24) as u8
    };
    (0..len).map(|_| byte()).collect()
}

fn fastest(infer: &mut impl FnMut()) -> u128 {
    let once = batch(infer, 3).max(1);
    let count = (BATCH.as_nanos() / once).clamp(1, u32::MAX.into()) as u32;
    (0..TOTAL.as_millis() / BATCH.as_millis()).map(|_| batch(infer, count)).min().unwrap_or(once)
}

/// Nanoseconds of a run, the mean of `count`.
fn batch(infer: &mut impl FnMut(), count: u32) -> u128 {
    let start = Instant::now();
    for _ in 0..count {
        infer();
    }
    start.elapsed().as_nanos() / u128::from(count)
}
