//! The operations that an instruction set provides.

/// Vectors of `L` accumulators.
pub(super) trait Vectors<const L: usize>: Copy {
    /// `L` accumulators in a register.
    type Sums: Copy;

    /// Accumulators into a register.
    fn load(self, lanes: &[i32; L]) -> Self::Sums;

    /// Accumulators out of a register.
    fn store(self, sums: Self::Sums) -> [i32; L];

    /// `sums[lane] + x[0] * w[lane][0] + x[1] * w[lane][1]`, wrapping.
    fn multiply_add(self, sums: Self::Sums, x: [i16; 2], w: &[[i16; 2]; L]) -> Self::Sums;
}

/// A piece of work that is compiled once for each instruction set.
pub(super) trait Work {
    /// Does the work. To be inlined, so that all of it is compiled for the instruction set.
    fn run<V: Vectors<L>, const L: usize>(self, vectors: V);
}
