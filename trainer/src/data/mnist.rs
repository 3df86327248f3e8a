//! Four IDX files with the names of MNIST's: MNIST itself, Fashion-MNIST (Xiao, Rasul, Vollgraf 2017), EMNIST, KMNIST.

use std::path::Path;

use ndarray::Array4;

use super::{DataError, Dataset, Images, idx, limits};

/// Where Debian's package `dataset-fashion-mnist` puts the files.
const DEBIAN_FOLDER: &str = "/usr/share/datasets/fashion-mnist";

const FASHION_CLASSES: [&str; 10] =
    ["T-shirt", "trouser", "pullover", "dress", "coat", "sandal", "shirt", "sneaker", "bag", "ankle boot"];

/// Reads four IDX files from a folder. The code of a pixel `p` is `p >> 1`, at exponent -7: 0 to 127 are 0.0 to 0.99.
///
/// # Errors
/// A [`DataError`] that names the file.
pub fn load(folder: &Path) -> Result<Dataset, DataError> {
    let (train, test) = (images(folder, "train")?, images(folder, "t10k")?);
    let (shape, expected) = (test.shape(), train.shape());
    if shape != expected {
        let path = folder.join("t10k-images-idx3-ubyte");
        let what = format!("images of {} x {} instead of {} x {}", shape.h, shape.w, expected.h, expected.w);
        return Err(DataError::contents(&path, what));
    }
    let greatest = train.labels().iter().chain(test.labels()).max().copied().unwrap_or(0);
    let classes = usize::from(greatest) + 1;
    Ok(Dataset {
        train,
        test,
        classes,
        class_names: Vec::new(),
        anomalies: Vec::new(),
        input_exponent: -7,
        front_end: None,
    })
}

/// Reads Fashion-MNIST from `folder`, or from where Debian's package puts it.
///
/// # Errors
/// A [`DataError`] that names the file.
pub fn load_fashion(folder: Option<&Path>) -> Result<Dataset, DataError> {
    let folder = folder.unwrap_or(Path::new(DEBIAN_FOLDER));
    if !folder.is_dir() {
        return Err(DataError::NotFound {
            dataset: "Fashion-MNIST",
            looked_in: folder.into(),
            hint: "install Debian's package dataset-fashion-mnist or name its folder with --data",
        });
    }
    let data = load(folder)?;
    let classes = FASHION_CLASSES.len();
    for (part, images) in [("train", &data.train), ("t10k", &data.test)] {
        let shape = images.shape();
        if (shape.h, shape.w) != (28, 28) {
            let path = folder.join(format!("{part}-images-idx3-ubyte"));
            return Err(DataError::contents(&path, format!("images of {} x {} instead of 28 x 28", shape.h, shape.w)));
        }
        if let Some(index) = images.labels().iter().position(|label| usize::from(*label) >= classes) {
            let path = folder.join(format!("{part}-labels-idx1-ubyte"));
            let label = images.labels()[index];
            return Err(DataError::contents(&path, format!("label {label} at index {index} is not one of 0 to 9")));
        }
    }
    Ok(Dataset { classes, class_names: FASHION_CLASSES.map(str::to_owned).to_vec(), ..data })
}

fn images(folder: &Path, part: &str) -> Result<Images, DataError> {
    let pixels = idx::read(folder, &format!("{part}-images-idx3-ubyte"), 3)?;
    let labels = idx::read(folder, &format!("{part}-labels-idx1-ubyte"), 1)?;
    let [count, h, w] = pixels.dimensions[..] else { unreachable!("read as three dimensions") };
    if pixels.elements.is_empty() {
        return Err(DataError::contents(&pixels.path, format!("{count} images of {h} x {w}")));
    }
    limits::check_input([h, w, 1]).map_err(|what| DataError::contents(&pixels.path, what))?;
    if labels.elements.len() != count {
        let what = format!("{} labels for {count} images", labels.elements.len());
        return Err(DataError::contents(&labels.path, what));
    }
    let codes = pixels.elements.iter().map(|pixel| (pixel >> 1).cast_signed()).collect();
    let codes = Array4::from_shape_vec((count, h, w, 1), codes).expect("the elements fill their dimensions");
    Ok(Images::in_memory(codes, labels.elements))
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::io::Write;

    use super::*;

    /// Two images and labels for each part, changed by `change` before they are read.
    fn load_changed(change: impl Fn(&Path)) -> String {
        let folder = tempfile::tempdir().unwrap();
        for part in ["train", "t10k"] {
            let mut images = vec![0, 0, 8, 3, 0, 0, 0, 2, 0, 0, 0, 28, 0, 0, 0, 28];
            images.extend([254; 2 * 784]);
            fs::write(folder.path().join(format!("{part}-images-idx3-ubyte")), images).unwrap();
            fs::write(folder.path().join(format!("{part}-labels-idx1-ubyte")), [0, 0, 8, 1, 0, 0, 0, 2, 3, 9]).unwrap();
        }
        change(folder.path());
        match load_fashion(Some(folder.path())) {
            Ok(data) => format!(
                "{} {} {}",
                data.train.len(),
                data.test.labels()[1],
                data.train.read(&[1]).unwrap()[[0, 27, 27, 0]]
            ),
            Err(error) => error.to_string().replace(&*folder.path().to_string_lossy(), "DIR"),
        }
    }

    fn edit(folder: &Path, name: &str, change: impl Fn(&mut Vec<u8>)) {
        let path = folder.join(name);
        let mut bytes = fs::read(&path).unwrap();
        change(&mut bytes);
        fs::write(path, bytes).unwrap();
    }

    const IMAGES: &str = "train-images-idx3-ubyte";
    const LABELS: &str = "t10k-labels-idx1-ubyte";

    #[test]
    fn plain_and_compressed_files_load() {
        assert_eq!(load_changed(|_| {}), "2 9 127");
        let compress = |folder: &Path| {
            let bytes = fs::read(folder.join(IMAGES)).unwrap();
            let file = fs::File::create(folder.join(format!("{IMAGES}.gz"))).unwrap();
            let mut encoder = flate2::write::GzEncoder::new(file, flate2::Compression::fast());
            encoder.write_all(&bytes).unwrap();
            encoder.finish().unwrap();
            fs::remove_file(folder.join(IMAGES)).unwrap();
        };
        assert_eq!(load_changed(compress), "2 9 127");
        let changed = |change: fn(&mut Vec<u8>)| {
            load_changed(|folder| {
                edit(folder, IMAGES, change);
                compress(folder);
            })
        };
        assert_eq!(
            changed(|bytes| bytes.push(0)),
            "DIR/train-images-idx3-ubyte.gz: more bytes of elements than its dimensions [2, 28, 28] have"
        );
        // As many zeros would have room in a small file.
        assert_eq!(
            changed(|bytes| bytes[4] = 4),
            "DIR/train-images-idx3-ubyte.gz: its dimensions are [67108866, 28, 28]: 52613350944 values, there may be \
             1073741824 at most, where compressed"
        );
        let corrupt = |folder: &Path| {
            compress(folder);
            edit(folder, &format!("{IMAGES}.gz"), |bytes| bytes.truncate(20));
        };
        assert!(load_changed(corrupt).starts_with("DIR/train-images-idx3-ubyte.gz: corrupt gzip data"));
    }

    #[test]
    fn missing_files_are_named() {
        assert!(
            load_changed(|folder| fs::remove_file(folder.join(LABELS)).unwrap())
                .starts_with("cannot read DIR/t10k-labels-idx1-ubyte.gz")
        );
        let error = load_fashion(Some(Path::new("/nowhere"))).unwrap_err().to_string();
        assert!(error.starts_with("Fashion-MNIST was not found in /nowhere"), "{error}");
    }

    #[test]
    fn short_corrupt_and_foreign_files_are_named() {
        let changed = |name: &'static str, change: fn(&mut Vec<u8>)| load_changed(|folder| edit(folder, name, change));
        assert_eq!(
            changed(IMAGES, |b| b.truncate(1000)),
            "DIR/train-images-idx3-ubyte: 984 bytes of elements do not fill its dimensions [2, 28, 28]"
        );
        assert_eq!(changed(IMAGES, |b| b.truncate(9)), "DIR/train-images-idx3-ubyte: cut short within the header");
        assert_eq!(
            changed(IMAGES, |b| b[4..16].fill(255)),
            "DIR/train-images-idx3-ubyte: 1568 bytes of elements do not fill its dimensions [4294967295, 4294967295, \
             4294967295]"
        );
        let large = |b: &mut Vec<u8>| {
            b[4..16].copy_from_slice(&[0, 0, 0, 1, 0, 0, 16, 0, 0, 0, 16, 0]);
            b.resize(16 + (1 << 24), 0);
        };
        assert_eq!(
            changed(IMAGES, large),
            "DIR/train-images-idx3-ubyte: inputs of 4096 x 4096 x 1 values, 67 MB each while training: they may have \
             3145728 values at most"
        );
        assert!(changed(IMAGES, |b| b[0] = 1).contains("not an IDX file"));
        assert_eq!(
            changed(IMAGES, |b| b[2] = 0x0d),
            "DIR/train-images-idx3-ubyte: element type 0x0d instead of 0x08, unsigned bytes"
        );
        assert_eq!(changed(IMAGES, |b| b[3] = 1), "DIR/train-images-idx3-ubyte: 1 dimensions instead of 3");
        assert!(changed(IMAGES, |b| (b[11], b[15]) = (14, 56)).contains("images of 28 x 28 instead of 14 x 56"));
        assert!(changed(LABELS, |b| b[7] = 1).ends_with(": more bytes of elements than its dimensions [1] have"));
        assert_eq!(
            changed(LABELS, |b| {
                b[7] = 3;
                b.push(1);
            }),
            "DIR/t10k-labels-idx1-ubyte: 3 labels for 2 images"
        );
        assert_eq!(
            changed(LABELS, |b| b[9] = 10),
            "DIR/t10k-labels-idx1-ubyte: label 10 at index 1 is not one of 0 to 9"
        );
    }

    #[test]
    fn idx_files_of_other_sizes_load_as_they_are() {
        let folder = tempfile::tempdir().unwrap();
        for part in ["train", "t10k"] {
            let mut images = vec![0, 0, 8, 3, 0, 0, 0, 3, 0, 0, 0, 2, 0, 0, 0, 5];
            images.extend(0..30);
            fs::write(folder.path().join(format!("{part}-images-idx3-ubyte")), images).unwrap();
            fs::write(folder.path().join(format!("{part}-labels-idx1-ubyte")), [0, 0, 8, 1, 0, 0, 0, 3, 4, 0, 1])
                .unwrap();
        }
        let data = load(folder.path()).unwrap();
        assert_eq!((data.classes, data.train.len(), data.train.shape().w), (5, 3, 5));
        assert_eq!(
            data.test.read(&[2]).unwrap().iter().copied().collect::<Vec<_>>(),
            [10, 10, 11, 11, 12, 12, 13, 13, 14, 14]
        );
    }
}
