//! What the runtime by itself takes of flash, for one model.

use std::path::Path;

use anyhow::Result;

use crate::boards::Board;
use crate::elf::Sizes;
use crate::{elf, firmware};

/// Bytes that the least firmware around a model takes beyond one that does nothing, the model apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Flash {
    pub(super) code: u64,
    pub(super) constants: u64,
}

impl Flash {
    pub(super) const fn total(self) -> u64 {
        self.code + self.constants
    }
}

/// What the runtime takes of flash.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Runtime {
    /// For a model that the build has parsed and the firmware trusts. The table of its layers is among the constants.
    pub(super) trusting: Flash,
    /// With the checks of the model.
    pub(super) checking: Flash,
}

impl Runtime {
    /// Builds the three programs of an emulated board.
    ///
    /// # Errors
    /// Where there is no toolchain, or cargo fails.
    pub(super) fn measure(board: &Board, model: &Path) -> Result<Self> {
        let empty = elf::sizes(&firmware::build(board, firmware::EMPTY, None)?)?;
        let checking = elf::sizes(&firmware::build_with_loader(board, model)?)?;
        let trusting = elf::sizes(&firmware::build(board, firmware::EMBEDDED, Some(model))?)?;
        let beyond_empty = |sizes: Sizes| Flash {
            code: sizes.code.saturating_sub(empty.code),
            constants: sizes.constants.saturating_sub(empty.constants),
        };
        Ok(Self { trusting: beyond_empty(trusting), checking: beyond_empty(checking) })
    }
}
