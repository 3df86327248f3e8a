//! The squared error by integers of 128 bits, as spec 7.1 words it.

use stepshift_runtime::Codes;

/// What [`stepshift_runtime::squared_error`] is to give.
#[must_use]
pub fn squared_error(x: Codes<'_>, x_exponent: i8, y: Codes<'_>, y_exponent: i8) -> u64 {
    let finer = x_exponent.min(y_exponent);
    let square = |x: i16, y: i16| {
        let x = widened(x, i32::from(x_exponent) - i32::from(finer))?;
        let y = widened(y, i32::from(y_exponent) - i32::from(finer))?;
        (x - y).checked_mul(x - y)
    };
    // What leaves 128 bits is far above the greatest result.
    let sum = x.iter().zip(y.iter()).try_fold(0_i128, |sum, (x, y)| sum.checked_add(square(x, y)?));
    sum.and_then(|sum| u64::try_from(sum).ok()).unwrap_or(u64::MAX)
}

/// A code in steps so many times finer; `None` where it is of 100 bits and more.
fn widened(code: i16, shift: i32) -> Option<i128> {
    if code == 0 { Some(0) } else { (shift < 84).then(|| i128::from(code) << shift) }
}
