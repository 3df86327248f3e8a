//! What a layer takes, in the unit that it was measured in.

use serde::{Deserialize, Serialize};

/// A count with its unit; in a table of `--json`, a key and a number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Cost {
    /// Instructions, counted by QEMU.
    Instructions(u64),
    /// Cycles of a real core.
    Cycles(u64),
}

impl Cost {
    /// How many.
    pub(super) const fn count(self) -> u64 {
        match self {
            Self::Instructions(count) | Self::Cycles(count) => count,
        }
    }

    /// Of what.
    pub(super) const fn unit(self) -> &'static str {
        match self {
            Self::Instructions(_) => "instructions",
            Self::Cycles(_) => "cycles",
        }
    }
}
