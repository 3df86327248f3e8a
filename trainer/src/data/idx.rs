//! IDX files, plain or compressed by gzip: the format of the MNIST family.

use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};

use flate2::read::GzDecoder;

use super::DataError;

/// Unsigned bytes, the one element type that images and labels use.
const UNSIGNED_BYTE: u8 = 0x08;

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
    let raw = fs::read(&path).map_err(|source| DataError::Read { path: path.clone(), source })?;
    let bytes = if raw.starts_with(&[0x1f, 0x8b]) { unpack(&path, &raw)? } else { raw };
    parse(&path, &bytes, dimensions)
}

fn unpack(path: &Path, raw: &[u8]) -> Result<Vec<u8>, DataError> {
    let mut bytes = Vec::new();
    let outcome = GzDecoder::new(raw).read_to_end(&mut bytes);
    outcome.map_err(|error| DataError::Contents { path: path.into(), what: format!("corrupt gzip data: {error}") })?;
    Ok(bytes)
}

fn parse(path: &Path, bytes: &[u8], dimensions: usize) -> Result<Idx, DataError> {
    let refuse = |what: String| DataError::Contents { path: path.into(), what };
    let [0, 0, kind, count, rest @ ..] = bytes else {
        return Err(refuse("not an IDX file: it does not begin with two zero bytes and a type".to_owned()));
    };
    if *kind != UNSIGNED_BYTE {
        return Err(refuse(format!("element type {kind:#04x} instead of 0x08, unsigned bytes")));
    }
    if usize::from(*count) != dimensions {
        return Err(refuse(format!("{count} dimensions instead of {dimensions}")));
    }
    let (extents, _) = rest.as_chunks::<4>();
    let (Some(extents), Some(elements)) = (extents.get(..dimensions), rest.get(4 * dimensions..)) else {
        return Err(refuse("cut short within the header".to_owned()));
    };
    let extents: Vec<usize> = extents.iter().map(|extent| u32::from_be_bytes(*extent) as usize).collect();
    let expected = extents.iter().try_fold(1_usize, |len, extent| len.checked_mul(*extent));
    if expected != Some(elements.len()) {
        return Err(refuse(format!("{} bytes of elements do not fill its dimensions {extents:?}", elements.len())));
    }
    Ok(Idx { path: path.into(), dimensions: extents, elements: elements.to_vec() })
}
