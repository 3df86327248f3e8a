use super::arm;
use crate::arithmetic;
use crate::format::{Element, Mean};
use crate::kernels::{View, ViewMut};

/// Pixels whose sum fits 16 bits.
const PIXELS: usize = 128;

/// Channels that are summed at a time.
const CHANNELS: usize = 8;

/// The mean of all pixels of one byte, eight channels at a time. Spec 4.5. False for others: then nothing is written.
pub fn mean(op: &Mean, input: &View<'_>, output: &mut ViewMut<'_>) -> bool {
    if op.axes != Mean::GLOBAL || input.element() == Element::I16 {
        return false;
    }
    let (bytes, channels) = (input.codes.bytes(), usize::from(input.shape.c));
    let pixels = usize::from(input.shape.h) * usize::from(input.shape.w);
    for first in (0..channels).step_by(CHANNELS) {
        let count = CHANNELS.min(channels - first);
        let mut sums = [0_i32; CHANNELS];
        for pixel in (0..pixels).step_by(PIXELS) {
            let part = bytes.get(pixel * channels + first..).unwrap_or_default();
            let part = arm::sums(input.element() == Element::U8, part, PIXELS.min(pixels - pixel), channels, count);
            for (sum, part) in sums.iter_mut().zip(part) {
                *sum += i32::from(part);
            }
        }
        for (channel, sum) in sums.iter().enumerate().take(count) {
            let code = arithmetic::mean(*sum, op.multiplier, op.right_shift, op.activation);
            output.put(first + channel, code);
        }
    }
    true
}
