//! The operations that an instruction set provides.

/// Vectors of `L` accumulators.
pub(super) trait Registers<const L: usize>: Copy {
    /// `L` accumulators in a register.
    type Sums: Copy;

    /// Accumulators into a register.
    fn load(self, lanes: &[i32; L]) -> Self::Sums;

    /// Accumulators out of a register.
    fn store(self, sums: Self::Sums) -> [i32; L];

    /// `sums >> shifts` of each lane, with the sign.
    fn shift_right(self, sums: Self::Sums, shifts: Self::Sums) -> Self::Sums;

    /// `2 * sums` of each lane.
    fn double(self, sums: Self::Sums) -> Self::Sums;

    /// The upper half of `sums * multipliers + starts` of each lane.
    ///
    /// starts  of 64 bits: those of the even lanes, those of the odd ones
    fn multiply_high(self, sums: Self::Sums, multipliers: Self::Sums, starts: [Self::Sums; 2]) -> Self::Sums;

    /// `codes + (sums < 0 ? addends : 0)` of each lane.
    fn add_below_zero(self, codes: Self::Sums, sums: Self::Sums, addends: Self::Sums) -> Self::Sums;

    /// The low byte of each lane of four registers, clipped to bounds before: of a byte with a sign where the lower one has a sign.
    fn bytes(self, codes: [Self::Sums; 4], bounds: (i32, i32)) -> [[u8; L]; 4];
}

/// Products of groups of `K` codes, summed.
pub(super) trait Multiply<const L: usize, const K: usize, X, W>: Registers<L> {
    /// `sums[lane] + x[0] * w[lane][0] + x[1] * w[lane][1]` and so on, wrapping.
    fn multiply_add(self, sums: Self::Sums, x: [X; K], w: &[[W; K]; L]) -> Self::Sums;
}

/// Pairs of 16 bits: what every instruction set has.
pub(super) trait Vectors<const L: usize>: Multiply<L, 2, i16, i16> {}

impl<V: Multiply<L, 2, i16, i16>, const L: usize> Vectors<L> for V {}

/// Codes without a sign by weights with one, in fours, also lane by lane.
pub(super) trait ByteVectors<const L: usize>: Multiply<L, 4, u8, i8> {
    /// Registers of four bytes a lane: `[row 0, row 1, row 2, row 3]` of one column. The columns' order is the
    /// instructions' own; [`Self::in_order`] undoes it.
    ///
    /// rows  of `4 * L` columns
    fn interleave(self, rows: [&[[u8; L]; 4]; 4]) -> [Self::Sums; 4];

    /// Adds the products of four codes and four weights to each sum, as [`Multiply::multiply_add`].
    fn multiply_add_each(self, sums: Self::Sums, x: Self::Sums, w: Self::Sums) -> Self::Sums;

    /// Sums of [`Self::interleave`]'s columns, from the first column to the last; and back again.
    fn in_order(self, sums: [Self::Sums; 4]) -> [Self::Sums; 4];
}

/// A piece of work that is compiled once for each instruction set.
pub(super) trait Work {
    /// Does the work. To be inlined, so that all of it is compiled for the instruction set.
    fn run<V: Vectors<L>, const L: usize>(self, vectors: V);
}

/// A piece of work for instruction sets that multiply bytes.
pub(super) trait ByteWork {
    /// As [`Work::run`].
    fn run<V: ByteVectors<L>, const L: usize>(self, vectors: V);
}
