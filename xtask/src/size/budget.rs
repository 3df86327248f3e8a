//! `boards/budget.toml`: most bytes of every board's firmware.

use std::collections::BTreeMap;

use anyhow::{Context, Result, ensure};
use serde::Deserialize;

use super::Measured;
use crate::table::grouped;
use crate::workspace::root;

/// Most bytes, by the names of boards.
#[derive(Debug, Deserialize)]
#[serde(transparent)]
pub(crate) struct Budget(BTreeMap<String, Limits>);

/// Most bytes of one firmware.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
struct Limits {
    /// Code and constants, without the vector table.
    code: u64,
    /// The model's file.
    model: u64,
    /// The model's arena.
    arena: u64,
    /// The deepest chain of calls.
    stack: u64,
}

impl Budget {
    /// Reads the budget file.
    ///
    /// # Errors
    /// Names the line that is wrong.
    pub(crate) fn read() -> Result<Self> {
        let path = root().join("boards/budget.toml");
        let text = std::fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
        toml::from_str(&text).context("boards/budget.toml")
    }

    /// Holds sizes to it.
    ///
    /// # Errors
    /// Names every size that is over its limit, and boards without limits.
    pub(super) fn hold(&self, measured: &[(&str, Measured)]) -> Result<()> {
        let complaints: Vec<String> =
            measured.iter().flat_map(|(board, sizes)| self.complaints(board, sizes)).collect();
        ensure!(complaints.is_empty(), "boards/budget.toml: {}", complaints.join("; "));
        Ok(())
    }

    fn complaints(&self, board: &str, measured: &Measured) -> Vec<String> {
        let Some(limits) = self.0.get(board) else { return vec![format!("{board} has no budget")] };
        let sizes = Limits {
            code: measured.sizes.code + measured.sizes.constants,
            model: measured.model,
            arena: measured.arena,
            stack: measured.stack.bytes,
        };
        let pairs = [
            ("code", sizes.code, limits.code),
            ("model", sizes.model, limits.model),
            ("arena", sizes.arena, limits.arena),
            ("stack", sizes.stack, limits.stack),
        ];
        let over = pairs.into_iter().filter(|(_, size, limit)| size > limit);
        over.map(|(what, size, limit)| {
            format!("{board}: {what} takes {} bytes, {} over its budget", grouped(size), grouped(size - limit))
        })
        .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::boards::BOARDS;
    use crate::elf::Sizes;
    use crate::stack::Stack;

    fn measured(code: u64, stack: u64) -> Measured {
        let sizes = Sizes { code, constants: 10, ..Sizes::default() };
        let stack = Stack { bytes: stack, chain: Vec::new() };
        Measured { program: "device", sizes, model: 5, arena: 5, stack }
    }

    #[test]
    fn every_size_over_its_limit_is_told() {
        let budget: Budget = toml::from_str("[a]\ncode = 100\nmodel = 5\narena = 5\nstack = 20\n").unwrap();
        assert!(budget.hold(&[("a", measured(90, 20))]).is_ok());
        let error = budget.hold(&[("a", measured(91, 30)), ("b", measured(1, 1))]).unwrap_err().to_string();
        let expected =
            "a: code takes 101 bytes, 1 over its budget; a: stack takes 30 bytes, 10 over its budget; b has no";
        assert!(error.contains(expected), "{error}");
    }

    #[test]
    fn every_board_has_a_budget_and_every_budget_a_board() {
        let budget = Budget::read().unwrap();
        let mut names: Vec<_> = BOARDS.iter().map(|board| board.name).collect();
        names.sort_unstable();
        assert_eq!(budget.0.keys().map(String::as_str).collect::<Vec<_>>(), names);
    }
}
