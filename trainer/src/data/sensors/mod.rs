//! Signals of sensors, in windows: of CSV files or NPY files. An input is `[1, window, channels]`.

pub mod csv;
pub mod npy;

use ndarray::Array4;

use stepshift_runtime::format::Shape;

use super::Images;
use crate::export::FixedPointTensor;
use crate::export::tables::code_of;

/// Windows before they are codes.
struct Windows {
    /// Samples by window, row and channel.
    values: Vec<f32>,
    labels: Vec<u8>,
}

/// The least exponent whose codes cover the greatest magnitude.
fn covering_exponent<'a>(values: impl IntoIterator<Item = &'a f32>) -> i8 {
    let greatest = values.into_iter().fold(0_f32, |greatest, value| greatest.max(value.abs()));
    let covers = |exponent: &i8| f64::from(greatest) <= 127.0 * 2_f64.powi((*exponent).into());
    (-100..100).find(covers).unwrap_or(100)
}

/// Codes of windows, by spec 1.2.
fn images(windows: Windows, len: usize, channels: usize, exponent: i8) -> Images {
    let tensor = FixedPointTensor::i8(Shape { h: 1, w: 1, c: 1 }, exponent);
    let codes = windows.values.iter().map(|value| code_of(f64::from(*value), tensor) as i8).collect();
    let shape = (windows.labels.len(), 1, len, channels);
    Images::in_memory(Array4::from_shape_vec(shape, codes).expect("whole windows"), windows.labels)
}
