//! The sets of kernels.

/// A set of kernels, for one kind of core.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Backend {
    /// Plain loops: normative, for every core.
    #[default]
    Portable,
    /// The DSP extension: Cortex-M4, M7, M33.
    Dsp,
    /// The vector extension, Helium: Cortex-M55.
    Mve,
    /// 16-bit Thumb alone: Cortex-M0, M0+, M23.
    V6m,
}

impl Backend {
    /// Every backend.
    pub const ALL: [Self; 4] = [Self::Portable, Self::Dsp, Self::Mve, Self::V6m];

    /// The backend whose instructions this build runs; packed weights of others run in its plain Rust.
    pub const NATIVE: Self = if cfg!(stepshift_backend = "dsp") {
        Self::Dsp
    } else if cfg!(stepshift_backend = "mve") {
        Self::Mve
    } else if cfg!(stepshift_backend = "v6m") {
        Self::V6m
    } else {
        Self::Portable
    };

    /// Most bytes of stack that parsing, inference and self-test take below the caller, in firmware that is built with
    /// optimizations: [`STACK_BYTES`](crate::STACK_BYTES) of a build for this backend.
    ///
    /// `cargo xtask test` holds it to the deepest chain of calls in the firmware that links every operator.
    #[must_use]
    pub const fn stack_bytes(self) -> usize {
        match self {
            Self::Portable | Self::Dsp | Self::Mve | Self::V6m => 4096,
        }
    }

    /// As the command line has it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Portable => "portable",
            Self::Dsp => "dsp",
            Self::Mve => "mve",
            Self::V6m => "v6m",
        }
    }
}
