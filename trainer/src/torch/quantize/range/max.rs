use tch::Tensor;

/// The greatest magnitude.
pub(super) fn range(rows: &Tensor) -> Tensor {
    rows.abs().amax([1].as_slice(), false)
}
