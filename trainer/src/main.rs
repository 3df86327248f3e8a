//! The command line of the trainer.

mod commands;

use std::{panic, process};

use clap::Parser;
use stepshift_trainer::broken_pipe;
use stepshift_trainer::torch::memory::OutOfMemory;

fn main() -> process::ExitCode {
    say_no_more_of_panics();
    commands::run(&commands::Cli::parse())
}

/// Of a reader that is gone, and of memory that libtorch is refused, which becomes an error.
fn say_no_more_of_panics() {
    let other = panic::take_hook();
    panic::set_hook(Box::new(move |info| {
        let message = info.payload_as_str().unwrap_or_default();
        if broken_pipe::is_told_by(message) {
            process::exit(broken_pipe::EXIT_STATUS.into());
        }
        if OutOfMemory::of(message).is_none() {
            other(info);
        }
    }));
}
