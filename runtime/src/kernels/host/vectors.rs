//! The operations that an instruction set provides.

/// Vectors of `L` accumulators.
pub(super) trait Registers<const L: usize>: Copy {
    /// `L` accumulators in a register.
    type Sums: Copy;

    /// Accumulators into a register.
    fn load(self, lanes: &[i32; L]) -> Self::Sums;

    /// Accumulators out of a register.
    fn store(self, sums: Self::Sums) -> [i32; L];
}

/// Products of groups of `K` codes, summed.
pub(super) trait Multiply<const L: usize, const K: usize, X, W>: Registers<L> {
    /// `sums[lane] + x[0] * w[lane][0] + x[1] * w[lane][1]` and so on, wrapping.
    fn multiply_add(self, sums: Self::Sums, x: [X; K], w: &[[W; K]; L]) -> Self::Sums;
}

/// Pairs of 16 bits: what every instruction set has.
pub(super) trait Vectors<const L: usize>: Multiply<L, 2, i16, i16> {}

impl<V: Multiply<L, 2, i16, i16>, const L: usize> Vectors<L> for V {}

/// A piece of work that is compiled once for each instruction set.
pub(super) trait Work {
    /// Does the work. To be inlined, so that all of it is compiled for the instruction set.
    fn run<V: Vectors<L>, const L: usize>(self, vectors: V);
}

/// A piece of work for instruction sets that multiply bytes: codes without a sign by weights with one, in fours.
pub(super) trait ByteWork {
    /// As [`Work::run`].
    fn run<V: Multiply<L, 4, u8, i8>, const L: usize>(self, vectors: V);
}
