//! The binary version: for each image its label (CIFAR-100: the coarse one and the fine one), then its pixels.

use std::path::Path;

use super::{Batch, DataError, IMAGE_BYTES, Variant};

pub(super) fn parse(path: &Path, bytes: &[u8], variant: Variant) -> Result<Batch, DataError> {
    let label_bytes = match variant {
        Variant::Ten => 1,
        Variant::Hundred => 2,
    };
    let record_bytes = label_bytes + IMAGE_BYTES;
    if !bytes.len().is_multiple_of(record_bytes) {
        let what = format!("{} bytes are no whole number of images of {record_bytes} bytes", bytes.len());
        return Err(DataError::contents(path, what));
    }
    let mut batch = Batch { labels: Vec::new(), pixels: Vec::with_capacity(bytes.len()) };
    for record in bytes.chunks(record_bytes) {
        let (labels, pixels) = record.split_at(label_bytes);
        batch.labels.extend(labels.last());
        batch.pixels.extend(pixels);
    }
    Ok(batch)
}
