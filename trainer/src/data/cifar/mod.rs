//! CIFAR-10 and CIFAR-100 (Krizhevsky 2009): 60,000 images of 32 x 32 pixels in color, binary or pickled by Python.

mod binary;
mod pickle;

use std::path::{Path, PathBuf};

use ndarray::{Array4, ArrayView4};

use super::{DataError, Dataset, Images, files};

/// Width and height.
const SIDE: usize = 32;

/// Red, green, blue.
const CHANNELS: usize = 3;

/// Bytes of an image.
const IMAGE_BYTES: usize = CHANNELS * SIDE * SIDE;

/// Which of both.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Variant {
    /// Ten classes, five files of training images.
    Ten,
    /// A hundred classes (the fine labels), one file of training images.
    Hundred,
}

impl Variant {
    const fn classes(self) -> u8 {
        match self {
            Self::Ten => 10,
            Self::Hundred => 100,
        }
    }

    /// Names of the files without an ending, those of training images first.
    fn names(self) -> (Vec<String>, &'static str) {
        match self {
            Self::Ten => ((1..=5).map(|batch| format!("data_batch_{batch}")).collect(), "test_batch"),
            Self::Hundred => (vec!["train".to_owned()], "test"),
        }
    }

    /// Name of the file with the classes' names, of its key where it is pickled.
    const fn class_names(self) -> (&'static str, &'static str, &'static str) {
        match self {
            Self::Ten => ("batches.meta.txt", "batches.meta", "label_names"),
            Self::Hundred => ("fine_label_names.txt", "meta", "fine_label_names"),
        }
    }

    /// The key of the labels in a pickled file.
    const fn label_key(self) -> &'static str {
        match self {
            Self::Ten => "labels",
            Self::Hundred => "fine_labels",
        }
    }
}

/// Labels and pixels of a file: all red ones of an image, all green, all blue, by rows.
struct Batch {
    labels: Vec<u8>,
    pixels: Vec<u8>,
}

/// Reads the binary version (files that end in `.bin`) or the one pickled by Python, whichever is in the folder. The code of
/// a pixel `p` is `p - 128`, at exponent -7: -1.0 to 0.99.
///
/// # Errors
/// A [`DataError`] that names the file.
pub fn load(folder: &Path, variant: Variant) -> Result<Dataset, DataError> {
    let (train_names, test_name) = variant.names();
    let train = images(folder, &train_names, variant)?;
    let test = images(folder, &[test_name.to_owned()], variant)?;
    let class_names = class_names(folder, variant)?;
    Ok(Dataset {
        train,
        test,
        classes: variant.classes().into(),
        class_names,
        anomalies: Vec::new(),
        input_exponent: -7,
        front_end: None,
    })
}

fn images(folder: &Path, names: &[String], variant: Variant) -> Result<Images, DataError> {
    let (mut labels, mut pixels) = (Vec::new(), Vec::new());
    for name in names {
        let (path, batch) = batch(folder, name, variant)?;
        if batch.labels.is_empty() {
            return Err(DataError::contents(&path, "no images"));
        }
        if batch.pixels.len() != batch.labels.len() * IMAGE_BYTES {
            let what = format!("{} bytes of pixels for {} labels", batch.pixels.len(), batch.labels.len());
            return Err(DataError::contents(&path, what));
        }
        if let Some(index) = batch.labels.iter().position(|label| *label >= variant.classes()) {
            let (label, most) = (batch.labels[index], variant.classes() - 1);
            return Err(DataError::contents(
                &path,
                format!("label {label} of image {index} is not one of 0 to {most}"),
            ));
        }
        labels.extend(batch.labels);
        pixels.extend(batch.pixels);
    }
    Ok(Images::in_memory(codes(&pixels, labels.len()), labels))
}

fn batch(folder: &Path, name: &str, variant: Variant) -> Result<(PathBuf, Batch), DataError> {
    let (plain, pickled) = (folder.join(format!("{name}.bin")), folder.join(name));
    if plain.exists() {
        let batch = binary::parse(&plain, &files::bytes(&plain)?, variant)?;
        return Ok((plain, batch));
    }
    if !pickled.exists() {
        return Err(DataError::contents(folder, format!("neither {name}.bin nor {name} is there")));
    }
    let file = pickle::parse(&pickled, &files::bytes(&pickled)?)?;
    let labels = file.bytes_of_list(variant.label_key())?;
    let pixels = file.array("data")?.to_vec();
    Ok((pickled, Batch { labels, pixels }))
}

/// `[N, C, H, W]` u8 to `[N, H, W, C]` codes.
fn codes(pixels: &[u8], count: usize) -> Array4<i8> {
    let pixels = ArrayView4::from_shape((count, CHANNELS, SIDE, SIDE), pixels).expect("the length was checked");
    let mut codes = Array4::zeros((count, SIDE, SIDE, CHANNELS));
    codes.zip_mut_with(&pixels.permuted_axes([0, 2, 3, 1]), |code, pixel| *code = super::images::centred(*pixel));
    codes
}

fn class_names(folder: &Path, variant: Variant) -> Result<Vec<String>, DataError> {
    let (text, pickled, key) = variant.class_names();
    let (text, pickled) = (folder.join(text), folder.join(pickled));
    let names = if text.exists() {
        let bytes = files::bytes(&text)?;
        String::from_utf8_lossy(&bytes)
            .lines()
            .map(str::trim)
            .filter(|name| !name.is_empty())
            .map(str::to_owned)
            .collect()
    } else if pickled.exists() {
        pickle::parse(&pickled, &files::bytes(&pickled)?)?.texts_of_list(key)?
    } else {
        return Ok(Vec::new());
    };
    let path = if text.exists() { text } else { pickled };
    if names.len() != usize::from(variant.classes()) {
        return Err(DataError::contents(&path, format!("{} names for {} classes", names.len(), variant.classes())));
    }
    Ok(names)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    /// Image `i` of a file has label `i`, and pixels that tell image, channel, row and column.
    fn pixel(image: usize, channel: usize, row: usize, column: usize) -> u8 {
        (image * 71 + channel * 50 + row * 7 + column) as u8
    }

    fn binary_file(images: usize, coarse: bool) -> Vec<u8> {
        let mut bytes = Vec::new();
        for image in 0..images {
            if coarse {
                bytes.push(99);
            }
            bytes.push(image as u8);
            for index in 0..IMAGE_BYTES {
                bytes.push(pixel(image, index / 1024, index / 32 % 32, index % 32));
            }
        }
        bytes
    }

    fn ten() -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        let (names, test) = Variant::Ten.names();
        for name in names.iter().map(String::as_str).chain([test]) {
            fs::write(folder.path().join(format!("{name}.bin")), binary_file(2, false)).unwrap();
        }
        folder
    }

    fn error(folder: &tempfile::TempDir, variant: Variant) -> String {
        let error = load(folder.path(), variant).unwrap_err().to_string();
        error.replace(&*folder.path().to_string_lossy(), "DIR")
    }

    fn check(images: &Images) {
        for index in 0..images.len() {
            let codes = images.read(&[index]).unwrap();
            for ((_, row, column, channel), code) in codes.indexed_iter() {
                let expected = i16::from(pixel(images.labels()[index].into(), channel, row, column)) - 128;
                assert_eq!(i16::from(*code), expected, "{index} {row} {column} {channel}");
            }
        }
    }

    #[test]
    fn binary_files_of_ten_and_a_hundred_classes_load() {
        let folder = ten();
        fs::write(folder.path().join("batches.meta.txt"), "a\nb\nc\nd\ne\nf\ng\nh\ni\nj\n\n").unwrap();
        let data = load(folder.path(), Variant::Ten).unwrap();
        assert_eq!((data.train.len(), data.test.len(), data.classes), (10, 2, 10));
        assert_eq!(data.class_names[9], "j");
        check(&data.train);
        let folder = tempfile::tempdir().unwrap();
        for name in ["train.bin", "test.bin"] {
            fs::write(folder.path().join(name), binary_file(3, true)).unwrap();
        }
        let data = load(folder.path(), Variant::Hundred).unwrap();
        assert_eq!((data.train.labels(), data.classes), (&[0, 1, 2][..], 100));
        check(&data.test);
    }

    #[test]
    fn missing_short_and_foreign_binary_files_are_named() {
        let folder = ten();
        fs::write(folder.path().join("data_batch_3.bin"), &binary_file(2, false)[1..]).unwrap();
        assert_eq!(
            error(&folder, Variant::Ten),
            "DIR/data_batch_3.bin: 6145 bytes are no whole number of images of 3073 bytes"
        );
        fs::remove_file(folder.path().join("data_batch_3.bin")).unwrap();
        assert_eq!(error(&folder, Variant::Ten), "DIR: neither data_batch_3.bin nor data_batch_3 is there");
        let folder = ten();
        let mut wrong = binary_file(2, false);
        wrong[3073] = 10;
        fs::write(folder.path().join("test_batch.bin"), wrong).unwrap();
        assert_eq!(error(&folder, Variant::Ten), "DIR/test_batch.bin: label 10 of image 1 is not one of 0 to 9");
        fs::write(folder.path().join("test_batch.bin"), "").unwrap();
        assert_eq!(error(&folder, Variant::Ten), "DIR/test_batch.bin: no images");
        let folder = ten();
        fs::write(folder.path().join("batches.meta.txt"), "cat\n").unwrap();
        assert_eq!(error(&folder, Variant::Ten), "DIR/batches.meta.txt: 1 names for 10 classes");
    }
}
