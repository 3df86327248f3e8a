//! What the runtime by itself takes of flash, for one model.

use std::path::{Path, PathBuf};

use anyhow::Result;

use crate::boards::Board;
use crate::{elf, firmware};

/// Bytes of code and constants that the least firmware around a model takes beyond one that does nothing, the model apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Runtime {
    /// For a model that the build has parsed and the firmware trusts.
    pub(super) trusting: u64,
    /// With the checks of the model.
    pub(super) checking: u64,
}

impl Runtime {
    /// Builds the three programs of an emulated board.
    ///
    /// # Errors
    /// Where there is no toolchain, or cargo fails.
    pub(super) fn measure(board: &Board, model: &Path) -> Result<Self> {
        let code = |elf: PathBuf| elf::sizes(&elf).map(|sizes| sizes.code_and_constants());
        let empty = code(firmware::build(board, firmware::EMPTY, None)?)?;
        let checking = code(firmware::build_with_loader(board, model)?)?;
        let trusting = code(firmware::build(board, firmware::EMBEDDED, Some(model))?)?;
        Ok(Self { trusting: trusting.saturating_sub(empty), checking: checking.saturating_sub(empty) })
    }
}
