//! `cargo xtask size`: what a firmware and its model take, on one board or on all of them, held to a budget.

mod budget;
mod runtime;

use std::path::PathBuf;

use anyhow::{Context, Result, bail, ensure};

use crate::bench::Spare;
use crate::boards::{BOARDS, Board};
use crate::firmware::{self, Host, LogLevel};
use crate::fit::Ram;
use crate::model_file::ModelFile;
use crate::stack::{self, Stack};
use crate::table::{self, grouped};
use crate::{boards, elf, untrained};

pub(crate) use budget::Budget;
use runtime::Runtime;

#[derive(Debug, clap::Args)]
pub(crate) struct Size {
    /// The board, or all of them
    #[arg(long, default_value = boards::DEFAULT)]
    board: String,
    /// A model file, as `stepshift export` writes it
    #[arg(long, value_name = "FILE", required_unless_present = "network")]
    model: Option<PathBuf>,
    /// A network that is built in, with random weights, instead of a file
    #[arg(long, value_name = "NAME", conflicts_with_all = ["model", "check"])]
    network: Option<String>,
    /// What the network's model spares
    #[arg(long, default_value = "memory", requires = "network")]
    prefer: Spare,
    /// Hold the sizes to `boards/budget.toml`
    #[arg(long)]
    check: bool,
}

/// What an exception takes from the stack at most: a frame with the floating-point registers, aligned (Armv7-M ARM, B1.5.6), and the handler
/// of SysTick.
const EXCEPTION_BYTES: u64 = 128;

/// A firmware with a model, in bytes.
#[derive(Debug)]
pub(crate) struct Measured {
    program: &'static str,
    sizes: elf::Sizes,
    model: u64,
    arena: u64,
    stack: Stack,
}

impl Size {
    /// The file, or one that is made of the network for the only board that is asked for.
    fn model_path(&self, boards: &[&Board]) -> Result<PathBuf> {
        match (&self.model, &self.network, boards) {
            (Some(model), ..) => Ok(model.clone()),
            (None, Some(network), [board]) => untrained::model(network, board, self.prefer.into(), None),
            _ => bail!("--network packs a model for one board: name it by --board"),
        }
    }

    pub(crate) fn run(&self) -> Result<()> {
        let boards: Vec<&Board> = match self.board.as_str() {
            "all" => BOARDS.iter().collect(),
            name => vec![boards::find(name)?],
        };
        let file = ModelFile::read(&self.model_path(&boards)?)?;
        if let ([board], false) = (&boards[..], self.check) {
            print(board, &measure(board, &file)?);
            return if board.is_emulator() { print_runtime(board, &file) } else { Ok(()) };
        }
        table(&boards, &file, self.check.then(Budget::read).transpose()?.as_ref())
    }
}

/// Flash of the runtime by itself.
fn print_runtime(board: &Board, file: &ModelFile) -> Result<()> {
    let Runtime { trusting, checking } = Runtime::measure(board, file.path())?;
    println!(
        "the runtime by itself, of all that: {} bytes; {} where it trusts a model that the build has parsed: {} of code, {} of \
         constants, the table of the model's layers among them",
        grouped(checking.total()),
        grouped(trusting.total()),
        grouped(trusting.code),
        grouped(trusting.constants),
    );
    Ok(())
}

/// Prints a row for every board.
///
/// # Errors
/// Where a board is over its budget: all of them are told.
pub(crate) fn table(boards: &[&Board], file: &ModelFile, budget: Option<&Budget>) -> Result<()> {
    let header = ["board", "firmware", "code", "constants", "model", "arena", "stack"];
    let mut rows = vec![header.map(str::to_owned)];
    let mut all = Vec::new();
    for board in boards {
        let measured = measure(board, file)?;
        let Measured { sizes, .. } = measured;
        let numbers = [sizes.code, sizes.constants, measured.model, measured.arena, measured.stack.bytes];
        let [code, constants, model, arena, stack] = numbers.map(grouped);
        rows.push([board.name.to_owned(), measured.program.to_owned(), code, constants, model, arena, stack]);
        all.push((board.name, measured));
    }
    table::print(&rows);
    budget.map_or(Ok(()), |budget| budget.hold(&all))
}

/// Boards with the program `infer` link a model in, as one's own firmware does; others load it from its region of flash.
fn measure(board: &Board, file: &ModelFile) -> Result<Measured> {
    let (program, elf) = if board.is_emulator() {
        (firmware::INFER, firmware::build(board, firmware::INFER, Some(file.path()))?)
    } else {
        (firmware::DEVICE, firmware::build_device(board, Host::of(board), LogLevel::Info)?)
    };
    let stack = stack::deepest(&elf, firmware::ENTRY).with_context(|| format!("{}: {program}", board.name))?;
    if program == firmware::DEVICE {
        // Its arena is all of the RAM below what is kept.
        let (needed, kept) = (stack.bytes + EXCEPTION_BYTES, Ram::of(&elf)?.kept_for_stack());
        ensure!(needed <= kept, "{}: the stack takes {needed} bytes, layout.x keeps {kept}", board.name);
    }
    let arena = file.model()?.arena_bytes() as u64;
    Ok(Measured { program, sizes: elf::sizes(&elf)?, model: file.len(), arena, stack })
}

fn print(board: &Board, measured: &Measured) {
    let Measured { sizes, .. } = measured;
    let row = |name: &str, bytes: u64| [name.to_owned(), grouped(bytes)];
    table::print(&[
        row("code", sizes.code),
        row("constants", sizes.constants),
        row("vector table", sizes.vector_table),
        row("model", measured.model),
        row("flash, in all", sizes.code_and_constants() + measured.model),
        row("arena", measured.arena),
    ]);
    println!("stack, at most {}; the deepest chain of calls:", grouped(measured.stack.bytes));
    for (function, frame) in &measured.stack.chain {
        println!("{frame:>6}  {function}");
    }
    println!("\nbytes; {}, firmware `{}`", board.name, measured.program);
}
