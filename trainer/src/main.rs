//! The command line of the trainer.

mod commands;

use std::{panic, process};

use clap::Parser;
use stepshift_trainer::torch::memory::OutOfMemory;

/// What shells report of a program that wrote to a pipe which nobody reads any more.
const BROKEN_PIPE: i32 = 141;

fn main() -> process::ExitCode {
    say_no_more_of_panics();
    commands::run(&commands::Cli::parse())
}

/// A reader that has seen enough, `head` say, is no failure: the standard library panics there. Memory that libtorch is refused
/// becomes an error.
fn say_no_more_of_panics() {
    let other = panic::take_hook();
    panic::set_hook(Box::new(move |info| {
        let message = info.payload_as_str().unwrap_or_default();
        if message.starts_with("failed printing to stdout") && message.contains("Broken pipe") {
            process::exit(BROKEN_PIPE);
        }
        if OutOfMemory::of(message).is_none() {
            other(info);
        }
    }));
}
