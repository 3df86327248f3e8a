//! Damaged models that get past the checksum: what a fuzzer makes, from a seed.

use std::vec::Vec;

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use stepshift_runtime::format::HEADER_BYTES;
use stepshift_runtime::{Model, Session, crc32};

/// Most operations and bytes of arena of a model that is run.
const MAX_OPERATIONS: u64 = 20_000_000;
const MAX_ARENA: usize = 1 << 20;

/// What became of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// `Model::parse` refused it.
    Refused,
    /// It loaded, and is larger than what is run here.
    TooLarge,
    /// It loaded and ran to the end.
    Ran,
}

/// A file of the corpus after some changes: bits, bytes, numbers, blocks, and parts of another file. The checksum fits.
#[must_use]
pub fn mutated(corpus: &[Vec<u8>], seed: u64) -> Vec<u8> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let mut bytes = corpus[rng.random_range(0..corpus.len())].clone();
    for _ in 0..rng.random_range(1..=5) {
        let place = rng.random_range(HEADER_BYTES..bytes.len());
        match rng.random_range(0..7) {
            0 => bytes[place] ^= 1 << rng.random_range(0..8),
            1 => bytes[place] = rng.random(),
            2 => bytes[place] = [0, 1, 0x7f, 0x80, 0xff][rng.random_range(0..5)],
            3 => bytes[place] = bytes[place].wrapping_add([1, 0xff][rng.random_range(0..2)]),
            4 => drop(bytes.drain(place..(place + rng.random_range(1..9)).min(bytes.len() - 1))),
            5 => bytes.insert(place, rng.random()),
            _ => {
                let other = &corpus[rng.random_range(0..corpus.len())];
                let len = rng.random_range(1..32).min(other.len() - HEADER_BYTES).min(bytes.len() - place);
                let from = rng.random_range(HEADER_BYTES..=other.len() - len);
                bytes[place..place + len].copy_from_slice(&other[from..from + len]);
            }
        }
        if bytes.len() <= HEADER_BYTES + 1 {
            break;
        }
    }
    sealed(bytes)
}

/// The bytes with a checksum that fits; too short ones as they are.
#[must_use]
pub fn sealed(mut bytes: Vec<u8>) -> Vec<u8> {
    if bytes.len() >= HEADER_BYTES {
        let crc = crc32(&bytes[HEADER_BYTES..]);
        bytes[6..10].copy_from_slice(&crc.to_le_bytes());
    }
    bytes
}

/// Loads a file and runs it twice, on the least and on the greatest codes.
#[must_use]
pub fn load_and_run(bytes: &[u8]) -> Fate {
    let Ok(model) = Model::parse(bytes) else { return Fate::Refused };
    if model.operations() > MAX_OPERATIONS || model.arena_bytes() > MAX_ARENA {
        return Fate::TooLarge;
    }
    let mut arena = std::vec![0x80; model.arena_bytes()];
    let Ok(mut session) = Session::new(model, &mut arena) else { return Fate::Refused };
    let _ = session.self_test();
    for code in [i16::MIN, i16::MAX] {
        session.input_mut().fill(code);
        session.run();
    }
    Fate::Ran
}
