use tch::Tensor;

/// The mean's magnitude and three standard deviations, at most the greatest magnitude.
///
/// The deviation is that of the values themselves (divided by N), so that a single value has one: 0.
pub(super) fn range(rows: &Tensor) -> Tensor {
    let mean_of = |values: &Tensor| values.mean_dim([1].as_slice(), true, values.kind());
    let mean = mean_of(rows);
    let deviation = mean_of(&(rows - &mean).square()).sqrt();
    (mean.abs() + deviation * 3.0).squeeze_dim(1).minimum(&super::max::range(rows))
}
