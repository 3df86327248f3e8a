use super::regions::copy;
use crate::kernels::{View, ViewMut};
use crate::patches::Region;

/// The part of a tensor that a patch is computed from. Spec 4.24.
///
/// input   `[H, W, C]`          codes
/// output  `[PART_H, PART_W, C]`  codes of the input's element and step
pub fn patch_input(part: Region, input: View<'_>, output: ViewMut<'_>) {
    let size = output.element.bytes();
    let source = (input.bytes, input.shape, [part.y, part.x, 0]);
    copy(source, (output.bytes, output.shape, [0; 3]), [part.h, part.w], input.shape.c.into(), size);
}

/// Puts a patch into its place. Spec 4.24.
///
/// input   `[PATCH_H, PATCH_W, C]`  codes
/// output  `[H, W, C]`            codes of the input's element and step; those outside the patch stay
pub fn patch_output(patch: Region, input: View<'_>, output: ViewMut<'_>) {
    let size = output.element.bytes();
    let target = (output.bytes, output.shape, [patch.y, patch.x, 0]);
    copy((input.bytes, input.shape, [0; 3]), target, [patch.h, patch.w], input.shape.c.into(), size);
}
