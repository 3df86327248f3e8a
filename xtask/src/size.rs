//! `cargo xtask size`.

use std::path::PathBuf;

use anyhow::{Context, Result};
use stepshift_runtime::Model;

use crate::table::{self, grouped};
use crate::{boards, elf, firmware, stack};

#[derive(Debug, clap::Args)]
pub(crate) struct Size {
    /// The board
    #[arg(long, default_value = boards::DEFAULT, value_parser = boards::names())]
    board: String,
    /// A model file, as `stepshift export` writes it
    #[arg(long, value_name = "FILE")]
    model: PathBuf,
}

impl Size {
    pub(crate) fn run(&self) -> Result<()> {
        let board = boards::find(&self.board)?;
        let bytes = std::fs::read(&self.model).with_context(|| format!("cannot read {}", self.model.display()))?;
        let model = Model::parse(&bytes).with_context(|| self.model.display().to_string())?;
        let firmware = firmware::build(board, firmware::INFER, Some(&self.model))?;
        let sizes = elf::sizes(&firmware)?;
        let stack = stack::deepest(&firmware, firmware::ENTRY)?;
        let row = |name: &str, bytes: u64| [name.to_owned(), grouped(bytes)];
        table::print(&[
            row("code", sizes.code),
            row("constants", sizes.constants),
            row("vector table", sizes.vector_table),
            row("model", sizes.model),
            row("flash, in all", sizes.flash()),
            row("arena", model.arena_bytes() as u64),
            row("stack, at most", stack.bytes),
        ]);
        println!("\nthe deepest chain of calls:");
        for (function, frame) in &stack.chain {
            println!("{frame:>6}  {function}");
        }
        println!("\nbytes; {}, firmware `infer` with its instruction counter and semihosting", board.name);
        Ok(())
    }
}
