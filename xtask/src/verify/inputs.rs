//! Inputs of a model, from a file.

use std::path::Path;

use anyhow::{Context, Result, ensure};
use stepshift_runtime::{Model, Vectors};

/// Reads golden vectors, or codes as they lie in the arena, one input behind the other.
///
/// limit  at most as many
///
/// # Errors
/// Names the file, and what its length should be.
pub(crate) fn read(path: &Path, model: &Model<'_>, limit: Option<usize>) -> Result<Vec<Vec<u8>>> {
    let mut inputs = read_all(path, model)?;
    inputs.truncate(limit.unwrap_or(usize::MAX));
    ensure!(!inputs.is_empty(), "{} has no inputs", path.display());
    Ok(inputs)
}

fn read_all(path: &Path, model: &Model<'_>) -> Result<Vec<Vec<u8>>> {
    let name = path.display();
    let bytes = std::fs::read(path).with_context(|| format!("cannot read {name}"))?;
    let len = model.input().region().len();
    if let Ok(vectors) = Vectors::parse(&bytes) {
        let inputs: Vec<_> = (0..vectors.image_count()).map(|image| vectors.input(image).to_vec()).collect();
        let fitting = inputs.iter().all(|input| input.len() == len);
        ensure!(fitting, "{name}: its inputs are not the {len} bytes that the model takes");
        return Ok(inputs);
    }
    ensure!(
        bytes.len().is_multiple_of(len),
        "{name} is no vectors file, and its {} bytes are not a multiple of the {len} bytes of an input",
        bytes.len()
    );
    Ok(bytes.chunks_exact(len).map(<[u8]>::to_vec).collect())
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    const SMALL: &[u8] = include_bytes!("../../../runtime/testdata/small.stepshift");

    #[test]
    fn codes_are_cut_into_inputs_and_a_rest_is_refused() {
        let (model, file) = (Model::parse(SMALL).unwrap(), tempfile::NamedTempFile::new().unwrap());
        fs::write(file.path(), [7; 64]).unwrap();
        assert_eq!(read(file.path(), &model, None).unwrap(), vec![vec![7; 32]; 2]);
        assert_eq!(read(file.path(), &model, Some(1)).unwrap().len(), 1);
        fs::write(file.path(), [7; 65]).unwrap();
        let error = read(file.path(), &model, None).unwrap_err().to_string();
        assert!(error.contains("its 65 bytes are not a multiple of the 32 bytes of an input"), "{error}");
    }
}
