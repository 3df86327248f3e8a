use tch::Tensor;

/// The mean's magnitude and three standard deviations, at most the greatest magnitude.
///
/// The deviation is that of the values themselves (divided by N), so that a single value has one: 0.
pub(super) fn range(rows: &Tensor) -> Tensor {
    let mean = rows.mean_dim([1].as_slice(), false, rows.kind());
    let deviation = rows.std_dim([1].as_slice(), false, false);
    (mean.abs() + deviation * 3.0).minimum(&super::max::range(rows))
}
