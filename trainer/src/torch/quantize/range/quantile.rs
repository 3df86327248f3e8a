use tch::Tensor;

/// The magnitude that at most a share of the values exceed, but always one of them: the greatest where there are few.
///
/// share  0 to 1
pub(super) fn exceeded_by(rows: &Tensor, share: f64) -> Tensor {
    let len = rows.size()[1];
    let above = ((len as f64 * share + 1e-9).floor() as i64).clamp(0, len - 1);
    rows.abs().kthvalue(len - above, 1, false).0
}
