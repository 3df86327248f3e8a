//! The instruction sets that the host's kernels are written for.

use super::vectors::{ByteWork, Work};
#[cfg(target_arch = "x86_64")]
use super::x86;

/// An instruction set, from the plainest to the widest.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum InstructionSet {
    /// What the compiler makes of the portable kernels.
    #[default]
    Portable,
    /// `VPMADDWD` on 256 bits.
    Avx2,
    /// `VPDPBUSD` and `VPDPWSSD` on 512 bits.
    Avx512Vnni,
}

impl InstructionSet {
    /// Every instruction set.
    pub const ALL: [Self; 3] = [Self::Portable, Self::Avx2, Self::Avx512Vnni];

    /// The widest that this processor has.
    #[must_use]
    pub fn detected() -> Self {
        #[cfg(target_arch = "x86_64")]
        if x86::Avx512Vnni::detect().is_some() {
            return Self::Avx512Vnni;
        } else if x86::Avx2::detect().is_some() {
            return Self::Avx2;
        }
        Self::Portable
    }

    /// Accumulators of a vector.
    pub(super) const fn lanes(self) -> usize {
        match self {
            Self::Portable | Self::Avx2 => 8,
            Self::Avx512Vnni => 16,
        }
    }

    /// Does a piece of work in this instruction set; not at all where the processor lacks it.
    pub(super) fn run(self, work: impl Work) -> Option<()> {
        #[cfg(target_arch = "x86_64")]
        match self {
            Self::Avx2 => x86::Avx2::detect()?.run(work),
            Self::Avx512Vnni => x86::Avx512Vnni::detect()?.run(work),
            Self::Portable => return None,
        }
        #[cfg(not(target_arch = "x86_64"))]
        drop(work);
        (self != Self::Portable).then_some(())
    }

    /// It multiplies bytes.
    pub(super) const fn has_bytes(self) -> bool {
        matches!(self, Self::Avx512Vnni)
    }

    /// As [`Self::run`], of work on bytes.
    pub(super) fn run_bytes(self, work: impl ByteWork) -> Option<()> {
        #[cfg(target_arch = "x86_64")]
        if self.has_bytes() {
            x86::Avx512Vnni::detect()?.run_bytes(work);
            return Some(());
        }
        drop(work);
        None
    }

    /// As messages have it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Portable => "portable",
            Self::Avx2 => "AVX2",
            Self::Avx512Vnni => "AVX-512 VNNI",
        }
    }
}
