//! A model file on the host.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use stepshift_runtime::Model;
use stepshift_tests::slot_header;

/// A model file that was read and is valid.
#[derive(Debug)]
pub(crate) struct ModelFile {
    path: PathBuf,
    bytes: Vec<u8>,
}

impl ModelFile {
    /// Reads and checks it.
    ///
    /// # Errors
    /// Names the file and what is wrong with it.
    pub(crate) fn read(path: &Path) -> Result<Self> {
        let bytes = std::fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
        Model::parse(&bytes).with_context(|| path.display().to_string())?;
        Ok(Self { path: path.to_path_buf(), bytes })
    }

    /// The model.
    ///
    /// # Errors
    /// None: it was valid when it was read.
    pub(crate) fn model(&self) -> Result<Model<'_>> {
        Ok(Model::parse(&self.bytes)?)
    }

    /// Where it was read from.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Where it was read from, for messages.
    pub(crate) fn name(&self) -> String {
        self.path.display().to_string()
    }

    /// Bytes of the file.
    pub(crate) fn len(&self) -> u64 {
        self.bytes.len() as u64
    }

    /// As it lies in its region of flash.
    ///
    /// # Errors
    /// For a file of 4 GiB.
    pub(crate) fn slot(&self) -> Result<Vec<u8>> {
        let len = u32::try_from(self.bytes.len()).with_context(|| format!("{} is too long", self.name()))?;
        Ok([&slot_header(len)[..], &self.bytes].concat())
    }
}
