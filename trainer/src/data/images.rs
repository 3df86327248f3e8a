//! Inputs with their labels, in memory or in files.

use std::fmt::Debug;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use ndarray::{Array4, ArrayViewMut3, Axis};
use stepshift_runtime::format::Shape;

use super::DataError;

/// Spreads seeds that follow one another: the golden ratio in 64 bits.
const ODD: u64 = 0x9e37_79b9_7f4a_7c15;

/// Inputs of one shape, with their labels.
#[derive(Debug, Clone)]
pub struct Images {
    codes: Codes,
    labels: Vec<u8>,
    /// Of readings that are changed at random.
    seed: Option<u64>,
}

/// An input in a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileInput {
    /// The file.
    pub path: PathBuf,
    /// Which part of it, where its decoder knows parts.
    pub part: u32,
    /// Its class.
    pub label: u8,
}

/// Makes codes of a file; called from several threads.
pub trait Decode: Debug + Send + Sync {
    /// Writes the codes of a file's part, `[H, W, C]` i8.
    ///
    /// seed  of this reading, where it is to differ at random from others: decoders that change nothing ignore it
    ///
    /// # Errors
    /// Names the file and what is wrong with it.
    fn decode(&self, path: &Path, part: u32, seed: Option<u64>, codes: ArrayViewMut3<'_, i8>) -> Result<(), DataError>;
}

#[derive(Debug, Clone)]
enum Codes {
    /// `[N, H, W, C]`.
    Memory(Arc<Array4<i8>>),
    /// One file for each input, decoded whenever it is read.
    Files { files: Arc<[FileInput]>, shape: Shape, decoder: Arc<dyn Decode> },
}

impl Images {
    /// Codes `[N, H, W, C]` with `N` labels.
    ///
    /// # Panics
    /// Where there are not as many labels.
    #[must_use]
    pub fn in_memory(codes: Array4<i8>, labels: Vec<u8>) -> Self {
        assert_eq!(codes.dim().0, labels.len(), "one label for each input");
        Self { codes: Codes::Memory(Arc::new(codes)), labels, seed: None }
    }

    /// Files that are decoded when they are read, so that a data set need not fit the memory.
    ///
    /// shape  what the decoder writes
    #[must_use]
    pub fn in_files(files: Vec<FileInput>, shape: Shape, decoder: Arc<dyn Decode>) -> Self {
        let labels = files.iter().map(|file| file.label).collect();
        Self { codes: Codes::Files { files: files.into(), shape, decoder }, labels, seed: None }
    }

    /// The inputs whose labels are kept, in their order.
    #[must_use]
    pub fn of_labels(&self, is_kept: impl Fn(u8) -> bool) -> Self {
        let kept: Vec<usize> = (0..self.len()).filter(|index| is_kept(self.labels[*index])).collect();
        let codes = match &self.codes {
            Codes::Memory(codes) => Codes::Memory(Arc::new(codes.select(Axis(0), &kept))),
            Codes::Files { files, shape, decoder } => {
                let files = kept.iter().map(|index| files[*index].clone()).collect();
                Codes::Files { files, shape: *shape, decoder: Arc::clone(decoder) }
            }
        };
        Self { codes, labels: kept.iter().map(|index| self.labels[*index]).collect(), seed: self.seed }
    }

    /// The same inputs, changed at random where their decoder does so: always the same ones for a seed, in whatever order
    /// they are read.
    #[must_use]
    pub fn varied(&self, seed: u64) -> Self {
        Self { seed: Some(seed), ..self.clone() }
    }

    /// Number of inputs.
    #[must_use]
    pub fn len(&self) -> usize {
        self.labels.len()
    }

    /// True when there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.labels.is_empty()
    }

    /// `[N]`, each below the number of classes.
    #[must_use]
    pub fn labels(&self) -> &[u8] {
        &self.labels
    }

    /// Extent of one input.
    #[must_use]
    pub fn shape(&self) -> Shape {
        match &self.codes {
            Codes::Files { shape, .. } => *shape,
            Codes::Memory(codes) => {
                let (_, h, w, c) = codes.dim();
                let narrow = |extent| u16::try_from(extent).unwrap_or(u16::MAX);
                Shape { h: narrow(h), w: narrow(w), c: narrow(c) }
            }
        }
    }

    /// Codes of some inputs, `[N, H, W, C]`.
    ///
    /// # Errors
    /// Names the file that cannot be decoded.
    ///
    /// # Panics
    /// Where an index is past the last input.
    pub fn read(&self, indices: &[usize]) -> Result<Array4<i8>, DataError> {
        let Shape { h, w, c } = self.shape();
        let mut batch = Array4::zeros((indices.len(), h.into(), w.into(), c.into()));
        for (mut target, index) in batch.axis_iter_mut(Axis(0)).zip(indices) {
            match &self.codes {
                Codes::Memory(codes) => target.assign(&codes.index_axis(Axis(0), *index)),
                Codes::Files { files, decoder, .. } => {
                    let seed = self.seed.map(|seed| seed.wrapping_add(*index as u64).wrapping_mul(ODD));
                    decoder.decode(&files[*index].path, files[*index].part, seed, target)?
                }
            }
        }
        Ok(batch)
    }

    /// Codes of inputs that follow one another, `[N, H, W, C]`.
    ///
    /// # Errors
    /// As [`Self::read`].
    pub fn range(&self, range: Range<usize>) -> Result<Array4<i8>, DataError> {
        self.read(&range.collect::<Vec<_>>())
    }
}

/// The code of a pixel, `p - 128`, at exponent -7.
pub(super) const fn centred(pixel: u8) -> i8 {
    (pixel ^ 0x80).cast_signed()
}
