use crate::arithmetic::{requantize, rounding};
use crate::format::LeakyRelu;
use crate::kernels::InOut;

/// Negative codes times a slope, before the one rounding. Spec 4.10.
///
/// slopes  `[1]` or `[C]`  i16, in units of `2^-slope_bits`
/// codes   `[H, W, C]`
pub fn leaky_relu(op: &LeakyRelu<'_>, mut codes: InOut<'_>) {
    let (slopes, _) = op.slopes.as_chunks::<2>();
    let shape = codes.shape();
    let channels = usize::from(shape.c).max(1);
    let each = slopes.len() > 1;
    let mut index = 0;
    for _ in 0..shape.len() / channels {
        for c in 0..channels {
            let x = codes.code(index);
            let slope = slopes.get(if each { c } else { 0 }).map_or(0, |bytes| i16::from_le_bytes(*bytes));
            let acc = if x >= 0 { x << (op.slope_bits & 15) } else { x * i32::from(slope) };
            codes.put(index, requantize(acc + rounding(op.right_shift), op.right_shift, op.activation));
            index += 1;
        }
    }
}
