use crate::arithmetic::saturate;
use crate::format::Clip;
use crate::kernels::InOut;

/// Saturates codes into a narrower range; ReLU is `[0, 127]`. Spec 4.7.
///
/// codes  `[H, W, C]`  of one element and step
pub fn clip(op: &Clip, mut codes: InOut<'_>) {
    codes.map(|_, code| saturate(code, op.activation));
}
