//! A folder of PNG and JPEG files for each class: `train/CLASS/*` and `test/CLASS/*`.

use std::io::Cursor;
use std::path::Path;
use std::sync::Arc;

use image::imageops::FilterType;
use image::{DynamicImage, ImageReader};
use ndarray::ArrayViewMut3;
use stepshift_runtime::format::Shape;

use super::images::{FileInput, centred};
use super::{DataError, Dataset, Decode, Images, Source, files, limits};

/// What is read.
const EXTENSIONS: [&str; 3] = ["png", "jpg", "jpeg"];

/// Most pixels of a file: so many of 16 bits in four channels are what `image` decodes, 512 MiB.
const MAX_FILE_PIXELS: u64 = 1 << 26;

/// Finds the files, which are decoded whenever they are read. Images are resized to `data.size` without keeping their
/// proportions; the code of a pixel `p` is `p - 128`, at exponent -7.
///
/// # Errors
/// Names the folder, file or key.
pub fn load(folder: &Path, source: Source<'_>) -> Result<Dataset, DataError> {
    let options = source.options;
    let Some([h, w]) = options.size.filter(|[h, w]| *h > 0 && *w > 0) else {
        return Err(DataError::option("data.size", "is missing or 0, it must be [rows, columns]"));
    };
    let shape = Shape { h, w, c: if options.grayscale == Some(true) { 1 } else { 3 } };
    limits::check_input([h, w, shape.c].map(usize::from)).map_err(|what| DataError::option("data.size", what))?;
    let (train, test) = (folder.join("train"), folder.join("test"));
    let names = |part: &Path| files::folders(part).map(|paths| paths.iter().map(|path| files::name(path)).collect());
    let classes = source.classes(names(&train)?, names(&test)?)?;
    source.check_class_count(&train, classes.len())?;
    Ok(Dataset {
        train: images(&train, &classes, shape, |class| !source.is_anomaly(class))?,
        test: images(&test, &classes, shape, |_| true)?,
        classes: classes.len(),
        class_names: classes,
        anomalies: Vec::new(),
        input_exponent: -7,
        front_end: None,
    })
}

/// The files of the classes that are wanted.
fn images(
    folder: &Path,
    classes: &[String],
    shape: Shape,
    is_wanted: impl Fn(&str) -> bool,
) -> Result<Images, DataError> {
    for own in files::folders(folder)? {
        if !classes.contains(&files::name(&own)) {
            return Err(DataError::contents(&own, "the training images have no such class"));
        }
    }
    let mut found = Vec::new();
    for (label, class) in (0..=u8::MAX).zip(classes).filter(|(_, class)| is_wanted(class)) {
        let class_folder = folder.join(class);
        let paths = files::with_extension(&class_folder, &EXTENSIONS)?;
        if paths.is_empty() {
            return Err(DataError::contents(&class_folder, "no file ends in .png, .jpg or .jpeg"));
        }
        found.extend(paths.into_iter().map(|path| FileInput { path, part: 0, label }));
    }
    // Corrupt files are found while decoding; files that are no images, here.
    for FileInput { path, .. } in &found {
        let reader = ImageReader::open(path).and_then(ImageReader::with_guessed_format);
        let reader = reader.map_err(|source| DataError::read(path, source))?;
        let (w, h) = reader.into_dimensions().map_err(|error| refusal(path, &error))?;
        if u64::from(w) * u64::from(h) > MAX_FILE_PIXELS {
            let what = format!("an image of {h} x {w} pixels, there may be {MAX_FILE_PIXELS} at most");
            return Err(DataError::contents(path, what));
        }
    }
    Ok(Images::in_files(found, shape, Arc::new(Decoder)))
}

fn refusal(path: &Path, error: &image::ImageError) -> DataError {
    DataError::contents(path, format!("not a readable PNG or JPEG file: {error}"))
}

#[derive(Debug)]
struct Decoder;

impl Decode for Decoder {
    fn decode(&self, path: &Path, _: u32, _: Option<u64>, mut codes: ArrayViewMut3<'_, i8>) -> Result<(), DataError> {
        let bytes = files::bytes(path)?;
        if is_cut_jpeg(&bytes) {
            return Err(DataError::contents(path, "not a readable PNG or JPEG file: it ends before its image does"));
        }
        let reader = ImageReader::new(Cursor::new(bytes)).with_guessed_format();
        let image =
            reader.map_err(|source| DataError::read(path, source))?.decode().map_err(|error| refusal(path, &error))?;
        let (h, w, channels) = codes.dim();
        let image = resized(&image, h as u32, w as u32);
        let pixels = if channels == 1 { image.into_luma8().into_raw() } else { image.into_rgb8().into_raw() };
        codes.iter_mut().zip(pixels).for_each(|(code, pixel)| *code = centred(pixel));
        Ok(())
    }
}

/// True of a JPEG file whose last scan has no end, the rest of which would be decoded as gray. Within a scan a byte 0xff stands
/// before no other markers than those of restarts (ITU-T T.81, B.1.1.5).
fn is_cut_jpeg(bytes: &[u8]) -> bool {
    let last = |marker: u8| bytes.windows(2).rposition(|pair| pair == [0xff, marker]);
    let (start_of_scan, end_of_image) = (last(0xda), last(0xd9));
    bytes.starts_with(&[0xff, 0xd8]) && end_of_image < start_of_scan
}

/// By a triangle as wide as a target's pixel, so that nothing of a large image is skipped.
fn resized(image: &DynamicImage, h: u32, w: u32) -> DynamicImage {
    if (image.height(), image.width()) == (h, w) {
        return image.clone();
    }
    image.resize_exact(w, h, FilterType::Triangle)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use image::{GrayImage, Rgb, RgbImage};
    use stepshift_runtime::crc32;

    use super::super::{Anomalies, DataConfig, DatasetName};
    use super::*;

    fn load(folder: &Path, options: &DataConfig) -> Result<Dataset, DataError> {
        super::load(folder, Source::new(DatasetName::ImageFolder, options))
    }

    fn options(grayscale: bool) -> DataConfig {
        DataConfig { size: Some([4, 6]), grayscale: Some(grayscale), ..DataConfig::default() }
    }

    /// Two classes, `cat` with a gray PNG and `dog` with a JPEG of one color.
    fn folder() -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        for part in ["train", "test"] {
            for class in ["cat", "dog"] {
                fs::create_dir_all(folder.path().join(part).join(class)).unwrap();
            }
            let ramp = GrayImage::from_fn(6, 4, |x, y| [(10 * x + y) as u8].into());
            ramp.save(folder.path().join(part).join("cat/ramp.png")).unwrap();
            let red = RgbImage::from_pixel(40, 30, Rgb([250, 10, 20]));
            red.save(folder.path().join(part).join("dog/red.JPG")).unwrap();
            fs::write(folder.path().join(part).join("dog/notes.txt"), "not an image").unwrap();
        }
        folder
    }

    fn error(folder: &tempfile::TempDir, options: &DataConfig) -> String {
        let error = match load(folder.path(), options) {
            Err(error) => error,
            Ok(data) => data.train.range(0..data.train.len()).unwrap_err(),
        };
        error.to_string().replace(&*folder.path().to_string_lossy(), "DIR")
    }

    #[test]
    fn png_and_jpeg_files_are_read_and_resized() {
        let data = load(folder().path(), &options(false)).unwrap();
        assert_eq!((data.train.len(), data.classes), (2, 2));
        assert_eq!(data.class_names, ["cat", "dog"]);
        // The folder is gone by now: files are read when they are asked for.
        assert!(data.train.range(0..2).unwrap_err().to_string().starts_with("cannot read"));
        let folder = folder();
        let data = load(folder.path(), &options(false)).unwrap();
        let codes = data.train.range(0..2).unwrap();
        assert_eq!(codes.dim(), (2, 4, 6, 3));
        for ((image, row, column, channel), code) in codes.indexed_iter() {
            let pixel = i16::from(*code) + 128;
            let expected = if image == 0 { (10 * column + row) as i16 } else { [250, 10, 20][channel] };
            // JPEG loses a little.
            assert!((pixel - expected).abs() <= 3 * image as i16, "{image} {row} {column} {channel}: {pixel}");
        }
        let gray = load(folder.path(), &options(true)).unwrap();
        assert_eq!(gray.test.range(0..1).unwrap()[[0, 3, 5, 0]], 53_u8.wrapping_sub(128).cast_signed());
    }

    #[test]
    fn missing_corrupt_and_foreign_files_are_named() {
        let place = folder();
        assert_eq!(error(&place, &DataConfig::default()), "data.size: is missing or 0, it must be [rows, columns]");
        let large = DataConfig { size: Some([20_000, 20_000]), ..DataConfig::default() };
        let expected = "data.size: inputs of 20000 x 20000 x 3 values, 4800 MB each while training: they may have 3145728 \
                        values at most";
        assert_eq!(error(&place, &large), expected);
        fs::create_dir(place.path().join("test/horse")).unwrap();
        assert_eq!(error(&place, &options(false)), "DIR/test/horse: the training images have no such class");
        let place = folder();
        fs::remove_file(place.path().join("test/cat/ramp.png")).unwrap();
        assert_eq!(error(&place, &options(false)), "DIR/test/cat: no file ends in .png, .jpg or .jpeg");
        let place = folder();
        fs::write(place.path().join("train/cat/text.png"), "no image").unwrap();
        assert!(error(&place, &options(false)).starts_with("DIR/train/cat/text.png: not a readable PNG or JPEG file"));
        let place = folder();
        let path = place.path().join("train/cat/ramp.png");
        let bytes = fs::read(&path).unwrap();
        fs::write(&path, &bytes[..bytes.len() - 20]).unwrap();
        assert!(error(&place, &options(false)).starts_with("DIR/train/cat/ramp.png: not a readable PNG or JPEG file"));
        // The width and the height of a PNG file, and the checksum of what holds them.
        let mut large = bytes;
        large[16..24].copy_from_slice(&[0, 0, 0xea, 0x60, 0, 0, 0xea, 0x60]);
        let checksum = crc32(&large[12..29]);
        large[29..33].copy_from_slice(&checksum.to_be_bytes());
        fs::write(&path, &large).unwrap();
        assert_eq!(
            error(&place, &options(false)),
            "DIR/train/cat/ramp.png: an image of 60000 x 60000 pixels, there may be 67108864 at most"
        );
        let place = folder();
        let path = place.path().join("train/dog/red.JPG");
        let bytes = fs::read(&path).unwrap();
        fs::write(&path, &bytes[..bytes.len() - 20]).unwrap();
        let expected = "DIR/train/dog/red.JPG: not a readable PNG or JPEG file: it ends before its image does";
        assert_eq!(error(&place, &options(false)), expected);
        // A JPEG file by another name is read, and something behind the image is left alone.
        fs::write(place.path().join("train/dog/red.png"), [&bytes[..], b"note"].concat()).unwrap();
        fs::write(&path, &bytes).unwrap();
        let data = load(place.path(), &options(false)).unwrap();
        assert_eq!(data.train.range(0..3).unwrap().dim(), (3, 4, 6, 3));
        let place = folder();
        fs::remove_dir_all(place.path().join("train/dog")).unwrap();
        assert_eq!(error(&place, &options(false)), "DIR/train: 1 classes, there must be 2 to 256");
    }

    #[test]
    fn anomalies_may_be_among_the_test_images_alone() {
        let load = |folder: &tempfile::TempDir, names: &[&str]| {
            let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
            let options = options(true);
            let anomalies = Some(Anomalies(&names));
            let source = Source { anomalies, ..Source::new(DatasetName::ImageFolder, &options) };
            let data = super::super::load(source, Some(folder.path()));
            data.map_err(|error| error.to_string().replace(&*folder.path().to_string_lossy(), "DIR"))
        };
        let place = folder();
        let data = load(&place, &["dog"]).unwrap();
        assert_eq!((data.train.labels(), data.test.labels(), data.anomalies), (&[0][..], &[0, 1][..], vec![1]));
        fs::remove_dir_all(place.path().join("train/dog")).unwrap();
        let data = load(&place, &["dog"]).unwrap();
        assert_eq!((data.train.labels(), data.test.labels(), data.anomalies), (&[0][..], &[0, 1][..], vec![1]));
        assert_eq!((data.classes, data.class_names), (2, vec!["cat".to_owned(), "dog".to_owned()]));
        assert_eq!(load(&place, &[]).unwrap_err(), "DIR/test/dog: the training images have no such class");
        let unknown = "anomalies: \"dig\" is no class of the data set, there are [\"cat\", \"dog\"]";
        assert_eq!(load(&place, &["dig"]).unwrap_err(), unknown);
        fs::remove_dir_all(place.path().join("test/dog")).unwrap();
        assert_eq!(load(&place, &[]).unwrap().classes, 1, "one class may be reconstructed");
    }
}
