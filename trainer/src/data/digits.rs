//! UCI handwritten digits, embedded: 1,797 images of 8 x 8 pixels of 0 to 16.

use flate2::read::GzDecoder;
use ndarray::Array4;

use super::{DataError, Dataset, Images};

const CSV: &[u8] = include_bytes!("../../data/digits.csv.gz");

/// Width and height.
const SIDE: usize = 8;

/// Every fifth image is held out.
const HELD_OUT: usize = 5;

/// Splits the images: those with `index % 5 == 4` are the test set. A pixel is its own code, at
/// exponent -4: 0 to 16 are 0.0 to 1.0.
///
/// # Errors
/// None in a crate that was built from intact sources.
pub fn load() -> Result<Dataset, DataError> {
    let damaged = |what: String| DataError::Contents { path: "digits.csv.gz".into(), what };
    let mut rows = csv::ReaderBuilder::new().has_headers(false).from_reader(GzDecoder::new(CSV));
    let (mut train, mut test) = ((Vec::new(), Vec::new()), (Vec::new(), Vec::new()));
    for (index, row) in rows.deserialize::<Vec<f32>>().enumerate() {
        let row = row.map_err(|error| damaged(error.to_string()))?;
        let (label, pixels) = row.split_last().ok_or_else(|| damaged(format!("row {index} is empty")))?;
        let part = if index % HELD_OUT == HELD_OUT - 1 { &mut test } else { &mut train };
        part.0.extend(pixels.iter().map(|pixel| *pixel as i8));
        part.1.push(*label as u8);
    }
    let images = |(codes, labels): (Vec<i8>, Vec<u8>)| {
        let codes = Array4::from_shape_vec((labels.len(), SIDE, SIDE, 1), codes);
        codes.map(|codes| Images::in_memory(codes, labels)).map_err(|error| damaged(error.to_string()))
    };
    Ok(Dataset {
        train: images(train)?,
        test: images(test)?,
        classes: 10,
        class_names: (0..10).map(|digit| digit.to_string()).collect(),
        anomalies: Vec::new(),
        input_exponent: -4,
        front_end: None,
    })
}

#[cfg(test)]
mod tests {
    #[test]
    fn a_fifth_is_held_out() {
        let digits = super::load().unwrap();
        assert_eq!((digits.train.len(), digits.test.len()), (1438, 359));
        assert!(digits.train.range(0..1438).unwrap().iter().all(|code| (0..=16).contains(code)));
        assert!(digits.test.labels().iter().all(|label| *label < 10));
        // Row 4 of the file: the first held-out image, a four.
        assert_eq!(digits.test.labels()[0], 4);
        assert_eq!(
            digits.test.read(&[0]).unwrap().iter().take(8).copied().collect::<Vec<_>>(),
            [0, 0, 0, 1, 11, 0, 0, 0]
        );
    }
}
