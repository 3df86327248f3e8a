//! Fashion-MNIST, as Debian packages it.

use std::path::Path;

use anyhow::Result;

use super::debian;

/// Where Debian's package puts it, and where `stepshift` looks by itself.
const FOLDER: &str = "/usr/share/datasets/fashion-mnist";

pub(super) fn find() -> Option<String> {
    let whole = Path::new(FOLDER).join("train-images-idx3-ubyte.gz").exists();
    whole.then(|| FOLDER.to_owned())
}

pub(super) fn install() -> Result<()> {
    debian::install(&["dataset-fashion-mnist"])
}
