//! The tools that cargo does not bring: found, or installed.

mod chromium;
mod cxx;
mod debian;
mod fashion_mnist;
mod libtorch;
pub(crate) mod litert;
mod python;
mod qemu;
pub(crate) mod toolchain;

use anyhow::{Context, Result};

use crate::boards;

/// Something that must be on the machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Tool {
    Cxx,
    Libtorch,
    Toolchain,
    Qemu,
    FashionMnist,
    Chromium,
    LiteRt,
}

/// How much [`ensure`] tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Report {
    /// What was found and what was missing.
    Everything,
    /// What was missing.
    Missing,
}

/// Finds the tools and installs those that are missing.
///
/// # Errors
/// Says what is missing, what it is for and how to install it by hand.
pub(crate) fn ensure(tools: &[Tool], report: Report) -> Result<()> {
    for tool in tools {
        if let Some(found) = tool.find() {
            if report == Report::Everything {
                println!("{:<20} found: {found}", tool.name());
            }
            continue;
        }
        println!("{:<20} missing; needed to {}", tool.name(), tool.purpose());
        tool.install().with_context(|| format!("{} could not be installed", tool.name()))?;
        let found = tool.find().with_context(|| format!("{} was installed and still is not found", tool.name()))?;
        println!("{:<20} installed: {found}", tool.name());
    }
    Ok(())
}

/// As [`ensure`] for a tool that can be done without; true where it is there.
pub(crate) fn ensure_optional(tool: Tool, report: Report) -> bool {
    match ensure(&[tool], report) {
        Ok(()) => true,
        Err(error) => {
            println!("{:<20} left out: {error:#}", tool.name());
            false
        }
    }
}

/// Every tool that is needed, and those that can be done without.
///
/// # Errors
/// As [`ensure`].
pub(crate) fn run() -> Result<()> {
    ensure(&Tool::ALL, Report::Everything)?;
    ensure_optional(Tool::Chromium, Report::Everything);
    Ok(())
}

impl Tool {
    /// Those that are needed.
    pub(crate) const ALL: [Self; 5] = [Self::Cxx, Self::Libtorch, Self::Toolchain, Self::Qemu, Self::FashionMnist];

    const fn name(self) -> &'static str {
        match self {
            Self::Cxx => "C++ compiler",
            Self::Libtorch => "libtorch",
            Self::Toolchain => "embedded toolchain",
            Self::Qemu => "QEMU",
            Self::FashionMnist => "Fashion-MNIST",
            Self::Chromium => "Chromium",
            Self::LiteRt => "LiteRT",
        }
    }

    const fn purpose(self) -> &'static str {
        match self {
            Self::Cxx => "compile the trainer's autograd functions against libtorch",
            Self::Libtorch => "train",
            Self::Toolchain => "build firmware",
            Self::Qemu => "run firmware without a board",
            Self::FashionMnist => "train and evaluate on 70,000 real images",
            Self::Chromium => "open the report of a run in a test",
            Self::LiteRt => "make models for other libraries, and run them",
        }
    }

    fn find(self) -> Option<String> {
        match self {
            Self::Cxx => cxx::find(),
            Self::Libtorch => libtorch::find(),
            Self::Toolchain => {
                let found = boards::targets().into_iter().map(toolchain::find).collect::<Option<Vec<_>>>()?;
                found.last().map(ToString::to_string)
            }
            Self::Qemu => qemu::find(),
            Self::FashionMnist => fashion_mnist::find(),
            Self::Chromium => chromium::find(),
            Self::LiteRt => litert::find(),
        }
    }

    fn install(self) -> Result<()> {
        match self {
            Self::Cxx => cxx::install(),
            Self::Libtorch => libtorch::install(),
            Self::Toolchain => toolchain::install(&boards::targets()),
            Self::Qemu => qemu::install(),
            Self::FashionMnist => fashion_mnist::install(),
            Self::Chromium => chromium::install(),
            Self::LiteRt => litert::install(),
        }
    }
}
