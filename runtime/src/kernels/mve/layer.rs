//! A layer's constants as the inner loops take them.

use super::instructions::multiply;
use super::tile::{End, Tile};
use crate::format::{Activation, Blocks, Epilogue, Multiply, Weights};
use crate::kernels::ViewMut;

/// The one entry of a layer whose channels end alike, four times.
#[derive(Debug, Default)]
pub(super) struct Entry {
    multipliers: [[u8; 4]; 4],
    shifts: [u8; 4],
}

impl Entry {
    pub(super) fn of(weights: &Weights<'_>) -> Self {
        let (multipliers, shifts) = match weights.epilogue {
            Epilogue::Shift(shifts) => (&[][..], shifts),
            Epilogue::Multiply(end) => (end.multipliers, end.shifts),
        };
        let multiplier = multipliers.first_chunk().copied().unwrap_or_default();
        Self { multipliers: [multiplier; 4], shifts: [shifts.first().copied().unwrap_or_default(); 4] }
    }
}

/// The constants of a layer in [`Blocks`].
#[derive(Debug, Clone, Copy)]
pub(super) struct Layer<'a> {
    order: Blocks,
    channel_len: usize,
    weights: &'a [u8],
    bias: &'a [u8],
    end: End<'a>,
}

impl<'a> Layer<'a> {
    /// entry  [`Entry::of`] the weights
    pub(super) fn new(weights: &Weights<'a>, entry: &'a Entry, order: Blocks, activation: Activation) -> Self {
        let each = weights.epilogue.len() > 1;
        let epilogue = match weights.epilogue {
            end if each => end,
            Epilogue::Shift(_) => Epilogue::Shift(&entry.shifts),
            Epilogue::Multiply(end) => {
                let multipliers = entry.multipliers.as_flattened();
                Epilogue::Multiply(Multiply { multipliers, shifts: &entry.shifts, ..end })
            }
        };
        let end = End { epilogue, each, activation };
        Self { order, channel_len: order.channel_len(), weights: weights.codes, bias: weights.bias, end }
    }

    /// Multiplies the columns of `PIXELS` pixels by all channels.
    ///
    /// pixel  index in the output of the first one
    #[inline]
    pub(super) fn multiply<const LINKS: u64, const PIXELS: usize>(
        &self,
        columns: [&[u8]; PIXELS],
        pixel: usize,
        output: &mut ViewMut<'_>,
    ) {
        let out_ch = usize::from(output.shape.c);
        let whole = out_ch & !1;
        let bits = self.order.bits;
        let start = pixel * out_ch;
        if whole > 0 {
            let output = output.bytes.get_mut(start..).unwrap_or_default();
            multiply::<LINKS, PIXELS>(Tile {
                bits,
                weights: self.weights,
                columns,
                channel_len: self.channel_len,
                bias: self.bias,
                end: self.end,
                channels: whole,
                output,
                pitch: out_ch,
            });
        }
        if whole < out_ch {
            self.last::<LINKS, PIXELS>(columns, whole, start, output);
        }
    }

    /// The channel that has no other beside it.
    #[inline(never)]
    fn last<const LINKS: u64, const PIXELS: usize>(
        &self,
        columns: [&[u8]; PIXELS],
        channel: usize,
        start: usize,
        output: &mut ViewMut<'_>,
    ) {
        let mut bias = [0; 8];
        for (bias, given) in bias.iter_mut().zip(behind(self.bias, 4 * channel)).take(4) {
            *bias = *given;
        }
        let bits = self.order.bits;
        multiply::<LINKS, PIXELS>(Tile {
            bits,
            weights: behind(self.weights, self.order.place(channel, 0) * bits.bits() as usize / 8),
            columns,
            channel_len: self.channel_len,
            bias: &bias,
            end: self.end.behind(channel),
            channels: 1,
            output: output.bytes.get_mut(start + channel..).unwrap_or_default(),
            pitch: output.shape.c.into(),
        });
    }
}

impl End<'_> {
    /// That of the channels from `first` on.
    fn behind(self, first: usize) -> Self {
        let epilogue = match self.epilogue {
            end if !self.each => end,
            Epilogue::Shift(shifts) => Epilogue::Shift(behind(shifts, first)),
            Epilogue::Multiply(end) => Epilogue::Multiply(Multiply {
                multipliers: behind(end.multipliers, 4 * first),
                shifts: behind(end.shifts, first),
                ..end
            }),
        };
        Self { epilogue, ..self }
    }
}

fn behind(bytes: &[u8], start: usize) -> &[u8] {
    bytes.get(start..).unwrap_or_default()
}
