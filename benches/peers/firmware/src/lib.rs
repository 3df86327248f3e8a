//! What the firmware of every peer shares: the input, the count of instructions, the output on the host's console.
//!
//! The build script reads the model that the environment names, and makes `shape.rs` and a peer's own source of it.

#![no_std]

use stepshift_board::console::{Word, exit, line};
use stepshift_board::counter::Counter;

include!(concat!(env!("OUT_DIR"), "/shape.rs"));

/// The codes that a model reads.
pub type Input = [i8; INPUT_LEN];

/// The codes that it writes.
pub type Output = [i8; OUTPUT_LEN];

/// Prints the instructions of one inference, the bytes of RAM that it is handed and hands back, and every code of its
/// output, and ends.
///
/// prepare  the input in the peer's own form, not counted
/// infer    counted
/// finish   the codes of the peer's own output, not counted
pub fn measure<In, Out>(prepare: fn(&Input) -> In, infer: fn(In) -> Out, finish: fn(Out) -> Output) -> ! {
    let input = prepare(&input());
    // Nothing took them before.
    let Some(peripherals) = cortex_m::Peripherals::take() else { exit(false) };
    let Ok(counter) = Counter::new(peripherals.SYST) else { exit(false) };
    let start = counter.now();
    let output = core::hint::black_box(infer(core::hint::black_box(input)));
    let instructions = counter.since(start);
    line(&[Word::Text("instructions"), Word::Number(instructions)]);
    line(&[Word::Text("handed"), Word::from(size_of::<In>() + size_of::<Out>())]);
    for codes in finish(output).chunks(32) {
        print(codes);
    }
    exit(true)
}

/// Bytes without a pattern: the high bytes of a linear congruence, as `models.py` has them.
fn input() -> Input {
    let mut state = 1_u32;
    core::array::from_fn(|_| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 24) as i8
    })
}

/// A line of codes, each as its byte in decimal.
fn print(codes: &[i8]) {
    let mut words = [Word::Text(""); 33];
    words[0] = Word::Text("codes");
    for (word, code) in words[1..].iter_mut().zip(codes) {
        *word = Word::Number(u32::from(code.cast_unsigned()));
    }
    line(&words[..1 + codes.len()]);
}
