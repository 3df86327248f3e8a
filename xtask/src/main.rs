//! `cargo xtask`: everything around the crates that is more than one cargo command.

mod bench;
mod boards;
mod conformance;
mod demo;
mod device;
mod elf;
mod example;
mod firmware;
mod fit;
mod flash;
mod front_end;
mod inference;
mod linked;
#[cfg(test)]
mod linker_script;
mod model_file;
mod no_float;
mod peers;
mod process;
mod qemu;
#[cfg(feature = "probe")]
mod registry;
mod run;
mod setup;
mod size;
mod stack;
mod table;
mod test;
mod tidy;
mod untrained;
mod verify;
mod workspace;

use std::process::ExitCode;

use anyhow::Result;
use clap::{Parser, Subcommand};

/// Set-up, demo, tests, emulated runs and sizes of stepshift.
#[derive(Debug, Parser)]
#[command(bin_name = "cargo xtask")]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Find libtorch, a toolchain for Cortex-M, QEMU and data; install what is missing
    Setup,
    /// From images to the same integers on a Cortex-M: train, export, evaluate, run in QEMU, compare
    Demo(demo::Demo),
    /// Every check of this repository
    Test(test::Test),
    /// Run a model on an emulated board: instructions of every layer, comparison with golden vectors
    Run(run::Run),
    /// Instructions of every layer of a list, on an emulated board
    Bench(bench::Bench),
    /// The same models by other libraries: instructions in QEMU, time on the host
    Peers(peers::Peers),
    /// The boards that firmware is built for
    Boards,
    /// Write firmware and a model to a real board through a debug probe, then show its log
    Flash(flash::Flash),
    /// Run an application on recorded sensors in QEMU
    Example(example::Example),
    /// Run inputs on a board and on the host, and compare every layer
    Verify(verify::Verify),
    /// Sizes of a firmware: code, constants, model, arena
    Size(size::Size),
    /// Firmware holds no operator that its model does not use
    Linked,
    /// House rules that no compiler checks
    Tidy,
    /// Check a list of models against golden vectors on an emulated board
    Conformance(conformance::Conformance),
    /// Compare the features of a sound on an emulated board with the host's
    FrontEnd(front_end::FrontEnd),
}

fn run(cli: &Cli) -> Result<()> {
    process::watch_for_interrupts()?;
    match &cli.command {
        Command::Setup => setup::run(),
        Command::Demo(command) => command.run(),
        Command::Test(command) => command.run(),
        Command::Run(command) => command.run(),
        Command::Bench(command) => command.run(),
        Command::Peers(command) => command.run(),
        Command::Boards => {
            boards::print();
            Ok(())
        }
        Command::Flash(command) => command.run(),
        Command::Example(command) => command.run(),
        Command::Verify(command) => command.run(),
        Command::Size(command) => command.run(),
        Command::Linked => linked::run(),
        Command::Tidy => tidy::run(),
        Command::Conformance(command) => command.run(),
        Command::FrontEnd(command) => command.run(),
    }
}

fn main() -> ExitCode {
    process::until_the_reader_is_gone(|| match run(&Cli::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) if process::interrupted() => ExitCode::from(process::INTERRUPTED),
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    })
}
