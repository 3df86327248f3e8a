use crate::arithmetic::{requantize, rounding};
use crate::format::LeakyRelu;
use crate::kernels::ViewMut;

/// Negative codes times a slope, before the one rounding. Spec 4.10.
///
/// slopes  `[1]` or `[C]`  i16, in units of `2^-slope_bits`
/// output  `[H, W, C]`     i8; holds the input and is overwritten
pub fn leaky_relu(op: &LeakyRelu<'_>, output: ViewMut<'_>) {
    let (slopes, _) = op.slopes.as_chunks::<2>();
    for (code, slope) in output.codes.iter_mut().zip(slopes.iter().cycle()) {
        let x = i32::from(*code);
        let acc = if x >= 0 { x << (op.slope_bits & 15) } else { x * i32::from(i16::from_le_bytes(*slope)) };
        *code = requantize(acc + rounding(op.right_shift), op.right_shift, op.activation.min, op.activation.max);
    }
}
