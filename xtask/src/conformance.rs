//! `cargo xtask conformance`.

use std::fs;
use std::path::PathBuf;

use anyhow::{Context, Result, ensure};
use stepshift_runtime::Model;

use crate::boards::{self, Board};
use crate::{firmware, qemu};

#[derive(Debug, clap::Args)]
pub(crate) struct Conformance {
    /// The board
    #[arg(long, default_value = boards::DEFAULT, value_parser = boards::names())]
    board: String,
    /// One path a line: a model, its golden vectors, a model, its golden vectors, and so on
    list: PathBuf,
}

/// A model and its vectors, by absolute paths: the firmware's folder is another one.
struct Pair {
    model: PathBuf,
    vectors: PathBuf,
}

impl Conformance {
    /// Prints what the firmware prints, and how many models do not fit the board.
    pub(crate) fn run(&self) -> Result<()> {
        let board = boards::find(&self.board)?;
        let elf = firmware::build(board, firmware::CONFORMANCE, None)?;
        let pairs = self.pairs()?;
        let mut fitting = Vec::new();
        for pair in &pairs {
            if pair.fits(board)? {
                fitting.push(pair);
            }
        }
        let (mut equal, mut different) = (0, 0);
        for part in parts(&fitting, board) {
            let list = tempfile::NamedTempFile::new()?;
            fs::write(list.path(), part)?;
            let outcome = qemu::run(board, &elf, Some(list.path()))?;
            qemu::expect_backend(board, &outcome)?;
            let (passed, failed) = totals(&outcome.text)
                .with_context(|| format!("{}: the firmware printed\n{}", board.name, outcome.text))?;
            outcome.text.lines().filter(|line| line.starts_with("differs")).for_each(|line| println!("{line}"));
            equal += passed;
            different += failed;
        }
        let (name, backend, too_large) = (board.name, board.backend.name(), pairs.len() - fitting.len());
        println!("{name}: {equal} models equal, {different} differ, {too_large} too large, backend {backend}");
        ensure!(different == 0 && equal > 0, "{}: not every model equals its vectors", board.name);
        Ok(())
    }

    fn pairs(&self) -> Result<Vec<Pair>> {
        let text = fs::read_to_string(&self.list).with_context(|| format!("cannot read {}", self.list.display()))?;
        let absolute = |line: &str| fs::canonicalize(line).with_context(|| format!("{}: {line}", self.list.display()));
        let paths = text.lines().map(absolute).collect::<Result<Vec<_>>>()?;
        let (pairs, rest) = paths.as_chunks::<2>();
        ensure!(rest.is_empty(), "{}: the last model has no vectors", self.list.display());
        Ok(pairs.iter().map(|[model, vectors]| Pair { model: model.clone(), vectors: vectors.clone() }).collect())
    }
}

impl Pair {
    fn fits(&self, board: &Board) -> Result<bool> {
        let bytes = fs::read(&self.model).with_context(|| format!("cannot read {}", self.model.display()))?;
        let arena = Model::parse(&bytes).with_context(|| self.model.display().to_string())?.arena_bytes() as u64;
        let greatest = fs::metadata(&self.vectors)?.len().max(bytes.len() as u64).max(arena);
        Ok(greatest <= board.buffer_bytes)
    }

    fn lines(&self) -> String {
        format!("{}\n{}\n", self.model.display(), self.vectors.display())
    }
}

/// Lists that fit the board's buffer.
fn parts(pairs: &[&Pair], board: &Board) -> Vec<String> {
    let mut parts = vec![String::new()];
    for pair in pairs {
        let lines = pair.lines();
        let last = parts.last_mut().filter(|part| (part.len() + lines.len()) as u64 <= board.list_bytes());
        match last {
            Some(part) => part.push_str(&lines),
            None => parts.push(lines),
        }
    }
    parts
}

/// Reads `N models equal, M differ`.
pub(crate) fn totals(text: &str) -> Option<(usize, usize)> {
    let line = text.lines().find(|line| line.contains(" models equal, "))?;
    let (equal, rest) = line.split_once(" models equal, ")?;
    Some((equal.parse().ok()?, rest.split(' ').next()?.parse().ok()?))
}
