//! What the firmware of every peer shares: the input, the count of instructions, the output on the host's console.
//!
//! The build script reads the model that the environment names, and makes `shape.rs` and a peer's own source of it.

#![no_std]

use stepshift_board::console::{Word, exit, line};
use stepshift_board::counter::Counter;

include!(concat!(env!("OUT_DIR"), "/shape.rs"));

/// Prints the instructions of one inference, the bytes of RAM that it is handed and hands back, and every code of its
/// output, and ends.
///
/// prepare  the input in the peer's own form, not counted
/// infer    counted
/// code     of the output, by its index, not counted
pub fn measure<In, Out>(prepare: fn(Input) -> In, infer: fn(In) -> Out, code: fn(&Out, usize) -> i8) -> ! {
    let input = prepare(Input { state: 1 });
    // Nothing took them before.
    let Some(peripherals) = cortex_m::Peripherals::take() else { exit(false) };
    let Ok(counter) = Counter::new(peripherals.SYST) else { exit(false) };
    let start = counter.now();
    let output = core::hint::black_box(infer(core::hint::black_box(input)));
    let instructions = counter.since(start);
    line(&[Word::Text("instructions"), Word::Number(instructions)]);
    line(&[Word::Text("handed"), Word::from(size_of::<In>() + size_of::<Out>())]);
    print(|index| code(&output, index));
    exit(true)
}

/// The codes that a model reads, without a pattern: the high bytes of a linear congruence, as `models.py` has them.
#[derive(Debug, Clone, Copy)]
pub struct Input {
    state: u32,
}

impl Iterator for Input {
    type Item = i8;

    fn next(&mut self) -> Option<i8> {
        self.state = self.state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        Some((self.state >> 24) as i8)
    }
}

/// Lines of codes, each as its byte in decimal.
fn print(code: impl Fn(usize) -> i8) {
    for start in (0..OUTPUT_LEN).step_by(32) {
        let mut words = [Word::Text("codes"); 33];
        let indices = start..OUTPUT_LEN.min(start + 32);
        for (word, index) in words[1..].iter_mut().zip(indices.clone()) {
            *word = Word::Number(u32::from(code(index).cast_unsigned()));
        }
        line(&words[..1 + indices.len()]);
    }
}
