//! IDX files, plain or compressed by gzip: the format of the MNIST family.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::{Path, PathBuf};

use flate2::read::GzDecoder;

use super::{DataError, limits};

/// Unsigned bytes, the one element type that images and labels use.
const UNSIGNED_BYTE: u8 = 0x08;

/// What a file compressed by gzip begins with.
const GZIP: [u8; 2] = [0x1f, 0x8b];

/// An IDX file of unsigned bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Idx {
    /// Where it was read from.
    pub path: PathBuf,
    /// Extents, outermost first.
    pub dimensions: Vec<usize>,
    /// The elements, innermost dimension fastest.
    pub elements: Vec<u8>,
}

/// Reads `folder/name`, or `folder/name.gz` where there is no plain file.
///
/// # Errors
/// [`DataError::Read`] for a missing file, [`DataError::Contents`] for a short, damaged or foreign one or for
/// another number of dimensions.
pub fn read(folder: &Path, name: &str, dimensions: usize) -> Result<Idx, DataError> {
    let plain = folder.join(name);
    let path = if plain.exists() { plain } else { folder.join(format!("{name}.gz")) };
    let unreadable = |source| DataError::read(&path, source);
    let mut file = BufReader::new(File::open(&path).map_err(unreadable)?);
    if !file.fill_buf().map_err(unreadable)?.starts_with(&GZIP) {
        return Reader { path: &path, bytes: file, failure: unreadable }.idx(dimensions, |_| Ok(()));
    }
    let corrupt = |error| DataError::contents(&path, format!("corrupt gzip data: {error}"));
    Reader { path: &path, bytes: GzDecoder::new(file), failure: corrupt }.idx(dimensions, limits::check_made)
}

/// Bytes of a file, and what is said where they cannot be read.
struct Reader<'a, R, F> {
    path: &'a Path,
    bytes: R,
    failure: F,
}

impl<R: Read, F: Fn(io::Error) -> DataError> Reader<'_, R, F> {
    /// check  refuses extents
    fn idx(mut self, dimensions: usize, check: impl Fn(&[usize]) -> Result<(), String>) -> Result<Idx, DataError> {
        let path = self.path;
        let refuse = |what: String| DataError::contents(path, what);
        let header = self.at_most(4 + 4 * dimensions)?;
        let [0, 0, kind, count, rest @ ..] = &header[..] else {
            return Err(refuse("not an IDX file: it does not begin with two zero bytes and a type".to_owned()));
        };
        if *kind != UNSIGNED_BYTE {
            return Err(refuse(format!("element type {kind:#04x} instead of 0x08, unsigned bytes")));
        }
        if usize::from(*count) != dimensions {
            return Err(refuse(format!("{count} dimensions instead of {dimensions}")));
        }
        let (extents, _) = rest.as_chunks::<4>();
        if extents.len() < dimensions {
            return Err(refuse("cut short within the header".to_owned()));
        }
        let extents: Vec<usize> = extents.iter().map(|extent| u32::from_be_bytes(*extent) as usize).collect();
        check(&extents).map_err(|what| refuse(format!("its dimensions are {extents:?}: {what}, where compressed")))?;
        let expected = limits::product(&extents);
        let elements = self.at_most(expected.saturating_add(1))?;
        if elements.len() > expected {
            return Err(refuse(format!("more bytes of elements than its dimensions {extents:?} have")));
        }
        if elements.len() < expected {
            let len = elements.len();
            return Err(refuse(format!("{len} bytes of elements do not fill its dimensions {extents:?}")));
        }
        Ok(Idx { path: path.into(), dimensions: extents, elements })
    }

    /// The next bytes, fewer where the file ends.
    fn at_most(&mut self, len: usize) -> Result<Vec<u8>, DataError> {
        let mut bytes = Vec::new();
        self.bytes.by_ref().take(len as u64).read_to_end(&mut bytes).map_err(&self.failure)?;
        Ok(bytes)
    }
}
