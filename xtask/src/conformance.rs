//! `cargo xtask conformance`.

use std::path::PathBuf;

use anyhow::{Context, Result, ensure};

use crate::{boards, firmware, qemu};

#[derive(Debug, clap::Args)]
pub(crate) struct Conformance {
    /// The board
    #[arg(long, default_value = boards::BOARDS[0].name, value_parser = boards::names())]
    board: String,
    /// One path a line: a model, its golden vectors, a model, its golden vectors, and so on
    list: PathBuf,
}

impl Conformance {
    /// Prints what the firmware prints.
    pub(crate) fn run(&self) -> Result<()> {
        let board = boards::find(&self.board)?;
        let elf = firmware::build(board, firmware::CONFORMANCE, None)?;
        let list = tempfile::NamedTempFile::new()?;
        std::fs::write(list.path(), self.absolute_paths()?)?;
        let outcome = qemu::run(board, &elf, Some(list.path()))?;
        print!("{}", outcome.text);
        ensure!(outcome.success, "{}: not every model equals its vectors", board.name);
        Ok(())
    }
    /// The list as the firmware needs it, whose folder is another one.
    fn absolute_paths(&self) -> Result<String> {
        let text =
            std::fs::read_to_string(&self.list).with_context(|| format!("cannot read {}", self.list.display()))?;
        let mut paths = String::new();
        for line in text.lines() {
            let path = std::fs::canonicalize(line).with_context(|| format!("{}: {line}", self.list.display()))?;
            paths += &format!("{}\n", path.display());
        }
        Ok(paths)
    }
}
