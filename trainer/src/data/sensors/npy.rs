//! `x_train.npy`, `y_train.npy`, `x_test.npy`, `y_test.npy`, as NumPy writes them.

use std::fs::File;
use std::io::{self, BufReader, Read, Seek};
use std::path::Path;

use ndarray::{Array1, Array3};
use ndarray_npy::npy::header::Header;
use ndarray_npy::{ReadNpyError, ReadNpyExt};

use super::super::{DataError, Dataset, Source, limits};
use super::{Windows, covering_exponent, images};

/// Reads windows `[N, rows, channels]` of f32, f64 or i16 and classes `[N]` of i64, i32 or u8. The exponent of the input covers the
/// training windows that are no anomalies.
///
/// # Errors
/// Names the file.
pub fn load(folder: &Path, source: Source<'_>) -> Result<Dataset, DataError> {
    let (train, test) = (part(folder, "train")?, part(folder, "test")?);
    if train.extents != test.extents {
        let what = format!("windows of {:?}, those of x_train.npy are {:?}", test.extents, train.extents);
        return Err(DataError::contents(&folder.join("x_test.npy"), what));
    }
    let labels = train.windows.labels.iter().chain(&test.windows.labels);
    let classes = labels.max().map_or(0, |greatest| usize::from(*greatest) + 1);
    source.check_class_count(folder, classes)?;
    let (rows, channels) = train.extents;
    let windows = train.windows.values.chunks(rows * channels).zip(&train.windows.labels);
    let learned = windows.filter(|(_, label)| !source.is_anomaly(&label.to_string()));
    let exponent = covering_exponent(learned.flat_map(|(window, _)| window));
    Ok(Dataset {
        train: images(train.windows, rows, channels, exponent),
        test: images(test.windows, rows, channels, exponent),
        classes,
        class_names: Vec::new(),
        anomalies: Vec::new(),
        input_exponent: exponent,
        front_end: None,
    })
}

struct Part {
    windows: Windows,
    /// Rows and channels.
    extents: (usize, usize),
}

fn part(folder: &Path, name: &str) -> Result<Part, DataError> {
    let (x, y) = (folder.join(format!("x_{name}.npy")), folder.join(format!("y_{name}.npy")));
    let values = values(&x)?;
    let (count, rows, channels) = values.dim();
    if values.is_empty() {
        return Err(DataError::contents(&x, format!("{count} windows of {rows} rows and {channels} channels")));
    }
    limits::check_input([1, rows, channels]).map_err(|what| DataError::contents(&x, what))?;
    if let Some((index, value)) = values.indexed_iter().find(|(_, value)| !value.is_finite()) {
        return Err(DataError::contents(&x, format!("the sample at {index:?} is {value}")));
    }
    let labels = labels(&y)?;
    if labels.len() != count {
        return Err(DataError::contents(&y, format!("{} classes for {count} windows", labels.len())));
    }
    Ok(Part { windows: Windows { values: values.iter().copied().collect(), labels }, extents: (rows, channels) })
}

fn values(path: &Path) -> Result<Array3<f32>, DataError> {
    if let Ok(values) = array::<Array3<f32>>(path)? {
        return Ok(values);
    }
    if let Ok(values) = array::<Array3<f64>>(path)? {
        return Ok(values.mapv(|value| value as f32));
    }
    match array::<Array3<i16>>(path)? {
        Ok(values) => Ok(values.mapv(f32::from)),
        Err(Foreign(kind)) => {
            Err(DataError::contents(path, format!("its elements are {kind}, they must be float32, float64 or int16")))
        }
    }
}

fn labels(path: &Path) -> Result<Vec<u8>, DataError> {
    let numbers = if let Ok(labels) = array::<Array1<i64>>(path)? {
        labels
    } else if let Ok(labels) = array::<Array1<i32>>(path)? {
        labels.mapv(i64::from)
    } else {
        let refusal = |Foreign(kind)| {
            DataError::contents(path, format!("its elements are {kind}, they must be int64, int32 or uint8"))
        };
        array::<Array1<u8>>(path)?.map_err(refusal)?.mapv(i64::from)
    };
    let label = |(index, number): (usize, &i64)| {
        u8::try_from(*number)
            .map_err(|_| DataError::contents(path, format!("class {number} at index {index} is not one of 0 to 255")))
    };
    numbers.iter().enumerate().map(label).collect()
}

/// Another type of elements than the one that was asked for, as NumPy writes it.
struct Foreign(String);

/// An array of one type of elements.
fn array<A: ReadNpyExt>(path: &Path) -> Result<Result<A, Foreign>, DataError> {
    let file = File::open(path).map_err(|source| DataError::read(path, source))?;
    check_count(path, &file)?;
    match A::read_npy(BufReader::new(file)) {
        Ok(array) => Ok(Ok(array)),
        Err(ReadNpyError::WrongDescriptor(kind)) => Ok(Err(Foreign(kind.to_string()))),
        Err(ReadNpyError::WrongNdim(Some(right), axes)) => {
            Err(DataError::contents(path, format!("an array of {axes} axes, it must have {right}")))
        }
        Err(error) => Err(DataError::contents(path, format!("not a usable NPY file: {error}"))),
    }
}

/// Refuses a header that is longer than the file, or tells of more elements than it has bytes, for which there would be room
/// otherwise. What is no header is left to what reads the array.
fn check_count(path: &Path, mut file: &File) -> Result<(), DataError> {
    let unreadable = |source| DataError::read(path, source);
    let bytes = file.metadata().map_err(unreadable)?.len();
    let header_bytes = header_bytes(file).map_err(unreadable)?;
    if header_bytes > bytes {
        return Err(DataError::contents(
            path,
            format!("a header of {header_bytes} bytes, more than its {bytes} bytes"),
        ));
    }
    file.rewind().map_err(unreadable)?;
    let header = Header::from_reader(&mut BufReader::new(file));
    file.rewind().map_err(unreadable)?;
    let Ok(Header { shape, .. }) = header else { return Ok(()) };
    if limits::product(&shape) as u64 <= bytes {
        return Ok(());
    }
    Err(DataError::contents(path, format!("its shape is {shape:?}, more elements than its {bytes} bytes")))
}

/// Bytes that a header says it has: behind the magic string and two bytes of version there are 2 of its length in version 1,
/// 4 in others. 0 of a file that ends before.
fn header_bytes(file: &File) -> io::Result<u64> {
    let mut start = Vec::new();
    file.take(12).read_to_end(&mut start)?;
    Ok(match start.strip_prefix(b"\x93NUMPY") {
        Some([1, _, a, b, ..]) => u16::from_le_bytes([*a, *b]).into(),
        Some([_, _, a, b, c, d]) => u32::from_le_bytes([*a, *b, *c, *d]).into(),
        _ => 0,
    })
}

#[cfg(test)]
mod tests {
    use std::fs;

    use ndarray::array;
    use ndarray_npy::WriteNpyExt;

    use super::*;
    use crate::data::{self, Anomalies, DataConfig, DatasetName};

    fn load(folder: &Path, anomalies: &[String]) -> Result<Dataset, DataError> {
        let options = DataConfig::default();
        let source = Source { anomalies: Some(Anomalies(anomalies)), ..Source::new(DatasetName::SensorNpy, &options) };
        data::load(source, Some(folder))
    }

    fn write(path: &Path, array: &impl WriteNpyExt) {
        array.write_npy(File::create(path).unwrap()).unwrap();
    }

    /// Two windows of three rows and one channel, in each part.
    fn folder() -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        for name in ["train", "test"] {
            let x = array![[[0.5_f32], [1.0], [-1.5]], [[0.25], [0.0], [127.0 / 64.0]]];
            write(&folder.path().join(format!("x_{name}.npy")), &x);
            write(&folder.path().join(format!("y_{name}.npy")), &array![1_i64, 0]);
        }
        folder
    }

    fn error(folder: &tempfile::TempDir) -> String {
        load(folder.path(), &[]).unwrap_err().to_string().replace(&*folder.path().to_string_lossy(), "DIR")
    }

    #[test]
    fn windows_of_every_type_load() {
        let folder = folder();
        let data = load(folder.path(), &[]).unwrap();
        assert_eq!((data.classes, data.input_exponent, data.train.labels()), (2, -6, &[1, 0][..]));
        let codes = |data: &Dataset| data.test.range(0..2).unwrap().into_iter().collect::<Vec<i8>>();
        assert_eq!(codes(&data), [32, 64, -96, 16, 0, 127]);
        for name in ["train", "test"] {
            write(&folder.path().join(format!("x_{name}.npy")), &array![[[5_i16, 6]], [[-127, 0]]]);
            write(&folder.path().join(format!("y_{name}.npy")), &array![1_u8, 2]);
        }
        let data = load(folder.path(), &[]).unwrap();
        assert_eq!((data.classes, data.input_exponent, codes(&data)), (3, 0, vec![5, 6, -127, 0]));
        let data = load(folder.path(), &["2".to_owned()]).unwrap();
        assert_eq!((data.train.labels(), data.test.labels(), data.anomalies), (&[1][..], &[1, 2][..], vec![2]));
        assert_eq!(data.input_exponent, -4, "6 is covered, -127 of the anomaly is not");
    }

    #[test]
    fn mistakes_in_npy_files_are_named() {
        let place = folder();
        fs::write(place.path().join("x_train.npy"), "text").unwrap();
        assert!(error(&place).starts_with("DIR/x_train.npy: not a usable NPY file"), "{}", error(&place));
        let place = folder();
        let path = place.path().join("x_test.npy");
        let bytes = fs::read(&path).unwrap();
        fs::write(&path, &bytes[..bytes.len() - 3]).unwrap();
        assert!(error(&place).starts_with("DIR/x_test.npy: not a usable NPY file"), "{}", error(&place));
        for shape in ["4000000000, 40000000, 9", "4000000000, 4000000000, 4000000000", "40, 1, 9"] {
            let place = folder();
            let header = format!("{{'descr': '<f4', 'fortran_order': False, 'shape': ({shape}), }}\n");
            let bytes = [b"\x93NUMPY\x01\x00", &(header.len() as u16).to_le_bytes()[..], header.as_bytes()].concat();
            fs::write(place.path().join("x_train.npy"), &bytes).unwrap();
            let len = bytes.len();
            let expected = format!("DIR/x_train.npy: its shape is [{shape}], more elements than its {len} bytes");
            assert_eq!(error(&place), expected);
        }
        for (version, length) in [(1, &[0xff; 2][..]), (2, &[0xff; 4]), (3, &[0xff; 4])] {
            let place = folder();
            let bytes = [b"\x93NUMPY", &[version, 0][..], length, b"{'descr': '<f4'"].concat();
            fs::write(place.path().join("y_test.npy"), &bytes).unwrap();
            let header = if version == 1 { 0xffff } else { u32::MAX };
            let len = bytes.len();
            let expected = format!("DIR/y_test.npy: a header of {header} bytes, more than its {len} bytes");
            assert_eq!(error(&place), expected);
        }
        let place = folder();
        write(&place.path().join("x_train.npy"), &Array3::<i16>::zeros((1, 4000, 1000)));
        let expected = "DIR/x_train.npy: inputs of 1 x 4000 x 1000 values, 16 MB each while training: they may have 3145728 \
                        values at most";
        assert_eq!(error(&place), expected);
        write(&place.path().join("x_train.npy"), &Array3::<i16>::zeros((1, 70_000, 1)));
        let expected =
            "DIR/x_train.npy: inputs of 1 x 70000 x 1 values: they may have 65535 rows, columns and channels at most";
        assert_eq!(error(&place), expected);
        let place = folder();
        write(&place.path().join("x_test.npy"), &array![[[1_u8]]]);
        assert_eq!(error(&place), "DIR/x_test.npy: its elements are '|u1', they must be float32, float64 or int16");
        let place = folder();
        write(&place.path().join("y_test.npy"), &array![1.0_f32]);
        assert_eq!(error(&place), "DIR/y_test.npy: its elements are '<f4', they must be int64, int32 or uint8");
        let place = folder();
        write(&place.path().join("x_train.npy"), &array![[1.0_f32]]);
        assert_eq!(error(&place), "DIR/x_train.npy: an array of 2 axes, it must have 3");
        let place = folder();
        write(&place.path().join("y_test.npy"), &array![1_i64]);
        assert_eq!(error(&place), "DIR/y_test.npy: 1 classes for 2 windows");
        let place = folder();
        write(&place.path().join("y_train.npy"), &array![-1_i32, 0]);
        assert_eq!(error(&place), "DIR/y_train.npy: class -1 at index 0 is not one of 0 to 255");
        let place = folder();
        write(&place.path().join("x_train.npy"), &array![[[f64::NAN]], [[0.0]]]);
        assert_eq!(error(&place), "DIR/x_train.npy: the sample at (0, 0, 0) is NaN");
        let place = folder();
        fs::remove_file(place.path().join("y_test.npy")).unwrap();
        assert!(error(&place).starts_with("cannot read DIR/y_test.npy"));
    }
}
