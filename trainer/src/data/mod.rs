//! Data sets: images as input codes of the network, with their labels.

pub mod digits;
pub mod fashion_mnist;
pub mod idx;

use std::path::{Path, PathBuf};

use ndarray::{Array4, ArrayView3};
use serde::{Deserialize, Serialize};
use stepshift_runtime::format::Shape;
use thiserror::Error;

/// The data sets that the trainer knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum DatasetName {
    /// UCI handwritten digits, embedded.
    Digits,
    /// Fashion-MNIST, from IDX files.
    FashionMnist,
}

/// Training and test images.
#[derive(Debug, Clone)]
pub struct Dataset {
    /// For training.
    pub train: Images,
    /// Held out.
    pub test: Images,
    /// Number of classes.
    pub classes: usize,
    /// log2 of the step of the input codes.
    pub input_exponent: i8,
}

/// Images with their labels.
#[derive(Debug, Clone)]
pub struct Images {
    /// `[N, H, W, C]` i8 codes.
    pub codes: Array4<i8>,
    /// `[N]`, each below the number of classes.
    pub labels: Vec<u8>,
}

/// Why a data set cannot be loaded. Each names the file and what would be right.
#[derive(Debug, Error)]
pub enum DataError {
    /// A file is missing or cannot be read.
    #[error("cannot read {path}: {source}")]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// A file is damaged or of another kind.
    #[error("{path}: {what}")]
    Contents {
        /// The file.
        path: PathBuf,
        /// What is wrong and what would be right.
        what: String,
    },
    /// No folder has the data set.
    #[error(
        "Fashion-MNIST was not found in {looked_in}; install Debian's package dataset-fashion-mnist or name its folder with --data"
    )]
    NotFound {
        /// Where it was looked for.
        looked_in: PathBuf,
    },
}

impl Images {
    /// Number of images.
    #[must_use]
    pub fn len(&self) -> usize {
        self.labels.len()
    }

    /// True when there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.labels.is_empty()
    }

    /// Extent of one image.
    #[must_use]
    pub fn shape(&self) -> Shape {
        let (_, h, w, c) = self.codes.dim();
        let narrow = |extent| u16::try_from(extent).unwrap_or(u16::MAX);
        Shape { h: narrow(h), w: narrow(w), c: narrow(c) }
    }

    /// One image, `[H, W, C]`.
    #[must_use]
    pub fn image(&self, index: usize) -> ArrayView3<'_, i8> {
        self.codes.index_axis(ndarray::Axis(0), index)
    }
}

/// Loads a data set; `folder` says where its files are, for those that have files.
///
/// # Errors
/// A [`DataError`] that names the file.
pub fn load(name: DatasetName, folder: Option<&Path>) -> Result<Dataset, DataError> {
    match name {
        DatasetName::Digits => digits::load(),
        DatasetName::FashionMnist => fashion_mnist::load(folder),
    }
}
