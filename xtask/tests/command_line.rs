//! What a user is told when something is wrong, on a machine that lacks everything else.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_path_buf()
}

/// Runs a command line with nothing but `programs` to be found; it must fail. What it printed.
fn failure(words: &[&str], programs: &Path) -> String {
    let mut command = Command::new(env!("CARGO_BIN_EXE_xtask"));
    let Output { status, stdout, stderr } =
        command.args(words).current_dir(root()).env("PATH", programs).output().unwrap();
    assert_eq!(status.code(), Some(1), "{words:?}");
    String::from_utf8(stdout).unwrap() + &String::from_utf8(stderr).unwrap()
}

fn nothing() -> tempfile::TempDir {
    tempfile::tempdir().unwrap()
}

const SMALL: &str = "runtime/testdata/small.stepshift";
const INPUTS: &str = "runtime/testdata/small.inputs";

#[test]
fn a_wrong_board_gets_the_nearest_one() {
    for command in ["flash", "verify", "size"] {
        let mut words = vec![command, "--board", "nrf52840", "--model", SMALL];
        words.extend(if command == "verify" { &["--data", INPUTS][..] } else { &[] });
        let text = failure(&words, nothing().path());
        assert!(text.contains("there is no board nrf52840: did you mean nrf52840-dk?"), "{text}");
    }
}

#[test]
fn an_emulated_board_is_not_flashed() {
    let text = failure(&["flash", "--board", "qemu-m4", "--model", SMALL], nothing().path());
    assert!(text.contains("qemu-m4 is emulated: `cargo xtask run` or `cargo xtask verify`"), "{text}");
}

#[test]
fn a_file_that_is_no_model_is_named() {
    let text = failure(&["flash", "--board", "pico", "--model", "Cargo.toml", "--dry-run"], nothing().path());
    assert!(text.contains("Cargo.toml: not a stepshift model"), "{text}");
    let text = failure(&["flash", "--board", "pico", "--model", "none.stepshift"], nothing().path());
    assert!(text.contains("cannot read none.stepshift"), "{text}");
}

#[test]
fn a_model_of_another_version_is_told() {
    let text =
        failure(&["flash", "--board", "pico", "--model", "tests/fixtures/version-1.stepshift"], nothing().path());
    assert!(text.contains("format version 1, this runtime reads "), "{text}");
}

#[test]
fn inputs_of_another_model_are_refused() {
    let words = ["verify", "--board", "lm3s6965", "--model", SMALL, "--data", "LICENSE-MIT"];
    let text = failure(&words, nothing().path());
    assert!(text.contains("LICENSE-MIT is no vectors file"), "{text}");
}

#[test]
fn a_missing_qemu_is_told_with_what_it_is_for() {
    let text = failure(&["verify", "--board", "lm3s6965", "--model", SMALL, "--data", INPUTS], nothing().path());
    assert!(text.contains("missing; needed to run firmware without a board"), "{text}");
    assert!(text.contains("QEMU could not be installed"), "{text}");
}

#[test]
#[cfg(unix)]
fn a_missing_toolchain_is_told_with_what_it_is_for() {
    let programs = nothing();
    // Found, and never run: the toolchain is missing before.
    let emulator = programs.path().join("qemu-system-arm");
    fs::write(&emulator, "#!/bin/sh\necho QEMU emulator version 7.2.0\n").unwrap();
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    fs::set_permissions(&emulator, mode).unwrap();
    let text = failure(&["verify", "--board", "lm3s6965", "--model", SMALL, "--data", INPUTS], programs.path());
    assert!(text.contains("missing; needed to build firmware"), "{text}");
    assert!(text.contains("embedded toolchain could not be installed"), "{text}");
}

#[test]
fn a_reader_that_has_seen_enough_ends_the_output_without_a_panic() {
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let Output { status, stderr, .. } =
        Command::new(env!("CARGO_BIN_EXE_xtask")).arg("boards").stdout(writer).output().unwrap();
    assert_eq!((status.code(), String::from_utf8(stderr).unwrap()), (Some(141), String::new()));
}
