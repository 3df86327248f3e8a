use crate::arithmetic::saturate;
use crate::format::Clip;
use crate::kernels::ViewMut;

/// Saturates codes into a narrower range, where they lie; ReLU is `[0, 127]`. Spec 4.7.
///
/// output  `[H, W, C]`  i8; holds the input and is overwritten
pub fn clip(op: &Clip, output: ViewMut<'_>) {
    for code in output.codes {
        *code = saturate((*code).into(), op.activation.min, op.activation.max);
    }
}
