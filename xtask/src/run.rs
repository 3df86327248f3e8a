//! `cargo xtask run`.

use std::path::PathBuf;

use anyhow::Result;

use crate::table::{self, grouped};
use crate::{boards, inference};

#[derive(Debug, clap::Args)]
pub(crate) struct Run {
    /// The board
    #[arg(long, default_value = boards::DEFAULT, value_parser = boards::names())]
    board: String,
    /// A model file, as `stepshift export` writes it
    #[arg(long, value_name = "FILE")]
    model: PathBuf,
    /// Golden vectors, as `stepshift eval --vectors` writes them; without them the input is zeros
    #[arg(long, value_name = "FILE")]
    vectors: Option<PathBuf>,
}

impl Run {
    pub(crate) fn run(&self) -> Result<()> {
        let board = boards::find(&self.board)?;
        let result = inference::run(board, &self.model, self.vectors.as_deref())?;
        let share = |count: u64| format!("{:.1} %", 100.0 * count as f64 / result.instructions.max(1) as f64);
        let mut rows = vec![["layer".to_owned(), "instructions".to_owned(), "share".to_owned()]];
        rows.extend(result.nodes.iter().map(|(name, count)| [name.clone(), grouped(*count), share(*count)]));
        rows.push(["all".to_owned(), grouped(result.instructions), String::new()]);
        table::print(&rows);
        println!("\n{}, {} in QEMU: instructions, not cycles", board.name, board.core);
        println!("self-test: {}", if result.self_test { "passed" } else { "the model has none" });
        if let Some((tensors, images)) = result.equal {
            println!("bit-exact: {} tensors, {} images", grouped(tensors), grouped(images));
        }
        Ok(())
    }
}
