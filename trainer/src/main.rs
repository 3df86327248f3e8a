//! The command line of the trainer.

mod commands;

use clap::Parser;

fn main() -> std::process::ExitCode {
    commands::run(&commands::Cli::parse())
}
