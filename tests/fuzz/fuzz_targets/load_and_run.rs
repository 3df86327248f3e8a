//! Any bytes, under a checksum that fits, are refused or run to the end.
//!
//! `cargo +nightly fuzz run --fuzz-dir tests/fuzz load_and_run` in the repository's root.

#![no_main]

use libfuzzer_sys::fuzz_target;
use stepshift_tests::mutate::{load_and_run, sealed};

fuzz_target!(|bytes: &[u8]| {
    let _ = load_and_run(&sealed(bytes.to_vec()));
});
