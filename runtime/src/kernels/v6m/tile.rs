//! A tile: the columns of two pixels times fours of output channels.
//!
//! A word of a column is `u0 + u1 * 2^16`, the inputs of two pixels; a weight `v` is 0 to 255. `MULS` gives
//! `u0 * v + u1 * v * 2^16`, in which neither product reaches the other. Of every channel one accumulator adds the words, and
//! one their upper halves: the second is the second pixel's sum, and the first less the second times `2^16` the first one's.

/// Pixels of a tile.
pub(super) const PIXELS: usize = 2;

/// Channels whose weights lie side by side.
pub(super) const CHANNELS: usize = 4;

/// Products of two numbers below it fit 32 bits: without such a bound they are checked in 64 bits, at the price of a tile.
pub(super) const SMALL: usize = 1 << 16;

/// What accumulators end in.
#[derive(Debug)]
pub(super) enum Target<'a> {
    /// Shifted right, brought into the limits, and written as bytes.
    Codes {
        bytes: &'a mut [u8],
        /// Right shifts: one a channel, or four that serve all.
        shifts: &'a [u8],
        /// [`CHANNELS`], or 0 where four serve all.
        shift_step: usize,
        /// Least and greatest code.
        limits: [i32; 2],
    },
    /// Left as they are: of every channel the pixels side by side.
    Accumulators(&'a mut [i32]),
}

impl Target<'_> {
    /// Room for so many channels of one or two pixels, one `pitch` bytes behind the other.
    pub(super) const fn has_room(&self, channels: usize, pixels: usize, pitch: usize) -> bool {
        match self {
            Self::Codes { bytes, shifts, shift_step, .. } => {
                let second = if pixels > 1 { pitch } else { 0 };
                let shift_count = if *shift_step == 0 { CHANNELS } else { channels };
                pitch < SMALL
                    && channels < SMALL
                    && second + channels <= bytes.len()
                    && shift_count <= shifts.len()
                    && (*shift_step == 0 || *shift_step == CHANNELS)
            }
            Self::Accumulators(accumulators) => channels < SMALL && channels * pixels <= accumulators.len(),
        }
    }
}

/// Operands of the loop over a tile.
#[derive(Debug)]
pub(super) struct Tile<'a> {
    /// Fours of channels in the order of [`Fours`](crate::format::Fours).
    pub(super) weights: &'a [u8],
    /// Two pixels a word; an even number.
    pub(super) columns: &'a [u32],
    /// First value of each channel's accumulators.
    pub(super) biases: &'a [i32],
    /// What each pixel's accumulators begin with beside the bias.
    pub(super) corrections: [i32; PIXELS],
    /// From the first pixel's bytes to the second one's.
    pub(super) pitch: usize,
    pub(super) target: Target<'a>,
}

impl Tile<'_> {
    /// Fours of channels.
    pub(super) const fn fours(&self) -> usize {
        self.biases.len() / CHANNELS
    }

    /// The loop stays inside its operands.
    pub(super) const fn is_consistent(&self) -> bool {
        let channels = CHANNELS * self.fours();
        channels > 0
            && self.columns.len() >= 2
            && self.columns.len().is_multiple_of(2)
            && self.columns.len() < SMALL
            && channels < SMALL
            && self.columns.len() * channels <= self.weights.len()
            && self.target.has_room(channels, PIXELS, self.pitch)
    }
}
