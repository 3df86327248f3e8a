use crate::kernels::{View, ViewMut};

/// Index of the greatest channel of each pixel, the first of equals. Spec 4.19.
///
/// input   `[H, W, C]`  codes
/// output  `[H, W, 1]`  indices
pub fn argmax(input: View<'_>, mut output: ViewMut<'_>) {
    let channels = usize::from(input.shape.c);
    for pixel in 0..output.len() {
        let start = pixel * channels;
        let (mut best, mut greatest) = (0, i32::MIN);
        for (c, place) in (0_i32..).zip(start..start + channels) {
            let code = input.code(place);
            if code > greatest {
                (best, greatest) = (c, code);
            }
        }
        output.put(pixel, best);
    }
}
