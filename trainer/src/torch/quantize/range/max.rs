use tch::Tensor;

use super::super::rows::extremes;

/// The greatest magnitude.
pub(super) fn range(rows: &Tensor) -> Tensor {
    let (least, greatest) = extremes(rows);
    greatest.maximum(&least.neg())
}
