//! A layer's constants as the inner loops take them, and its end where an inner loop has none.

use super::tile::{CHANNELS, Target};
use crate::format::{Activation, Element, Epilogue, Links, Weights};
use crate::kernels::ViewMut;

/// The constants of a layer.
#[derive(Debug, Clone, Copy)]
pub(super) struct Layer<'a> {
    weights: &'a Weights<'a>,
    activation: Activation,
    /// One a channel, and zeros up to a whole four.
    biases: &'a [i32],
    /// The one shift of all channels, for each of a four.
    shared: Option<[u8; CHANNELS]>,
    /// The inner loops have the layer's end: right shifts to codes of a byte.
    pub(super) has_end: bool,
}

impl<'a> Layer<'a> {
    /// `words` is where the biases go: one a channel, and as many more as bring them to whole fours.
    pub(super) fn new(weights: &'a Weights<'a>, words: &'a mut [u32], activation: Activation, output: Element) -> Self {
        words.fill(0);
        for (word, bias) in words.iter_mut().zip(weights.bias.as_chunks().0) {
            *word = u32::from_le_bytes(*bias);
        }
        let shifts = match weights.epilogue {
            Epilogue::Shift(shifts) => shifts,
            Epilogue::Multiply(_) => &[],
        };
        let shared = if let [shift] = shifts { Some([*shift; CHANNELS]) } else { None };
        let right = !shifts.is_empty() && shifts.iter().all(|shift| shift.cast_signed() >= 0);
        let has_end = right && output.bytes() == 1;
        Self { weights, activation, biases: bytemuck::must_cast_slice(words), shared, has_end }
    }

    /// Biases of `count` channels from `channel` on.
    pub(super) fn biases(&self, channel: usize, count: usize) -> &'a [i32] {
        self.biases.get(channel..).and_then(|biases| biases.get(..count)).unwrap_or_default()
    }

    /// Codes from `channel` on: `bytes` begins with that channel's.
    pub(super) fn codes<'t>(&'t self, channel: usize, bytes: &'t mut [u8]) -> Target<'t> {
        let (shifts, shift_step) = match (&self.shared, self.weights.epilogue) {
            (Some(shared), _) => (&shared[..], 0),
            (None, Epilogue::Shift(shifts)) => (shifts.get(channel..).unwrap_or_default(), CHANNELS),
            (None, Epilogue::Multiply(_)) => (&[][..], CHANNELS),
        };
        let limits = [self.activation.min.into(), self.activation.max.into()];
        Target::Codes { bytes, shifts, shift_step, limits }
    }

    /// Ends the accumulator of a channel and writes its code at `pixel`, the index of the pixel's first code.
    pub(super) fn finish<const LINKS: Links>(&self, acc: i32, channel: usize, pixel: usize, output: &mut ViewMut<'_>) {
        if channel < self.weights.bias.len() / 4 {
            let code = self.weights.epilogue.channel(channel).apply::<LINKS>(acc, self.activation);
            output.put(pixel + channel, code);
        }
    }
}

/// The aligned words of scratch: as many as `count`, or none.
pub(super) fn words(scratch: &mut [u8], count: usize) -> &mut [u32] {
    let (_, words, _) = bytemuck::pod_align_to_mut::<u8, u32>(scratch);
    words.get_mut(..count).unwrap_or_default()
}
