//! Why a data set cannot be loaded.

use std::path::{Path, PathBuf};

use thiserror::Error;

/// Why a data set cannot be loaded. Each names the file or key and what would be right.
#[derive(Debug, Error)]
pub enum DataError {
    /// A file is missing or cannot be read.
    #[error("cannot read {path}")]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// A file or folder is damaged or of another kind.
    #[error("{path}: {what}")]
    Contents {
        /// The file.
        path: PathBuf,
        /// What is wrong and what would be right.
        what: String,
    },
    /// No folder has the data set.
    #[error("{dataset} was not found in {looked_in}; {hint}")]
    NotFound {
        /// Which.
        dataset: &'static str,
        /// Where it was looked for.
        looked_in: PathBuf,
        /// What to do.
        hint: &'static str,
    },
    /// The data set has files, and no folder was named.
    #[error("{dataset} is read from files: name their folder with --data")]
    NoFolder {
        /// Which.
        dataset: &'static str,
    },
    /// A key of the config does not fit the data set.
    #[error("{key}: {what}")]
    Option {
        /// The key.
        key: &'static str,
        /// What is wrong and what would be right.
        what: String,
    },
    /// The front end cannot be what its table in the config says.
    #[error("{0:#}")]
    FrontEnd(anyhow::Error),
}

impl DataError {
    pub(super) fn read(path: &Path, source: std::io::Error) -> Self {
        Self::Read { path: path.into(), source }
    }

    pub(super) fn contents(path: &Path, what: impl Into<String>) -> Self {
        Self::Contents { path: path.into(), what: what.into() }
    }

    pub(super) fn option(key: &'static str, what: impl Into<String>) -> Self {
        Self::Option { key, what: what.into() }
    }
}
