//! The tools that cargo does not bring: found, or installed.

mod cxx;
mod debian;
mod fashion_mnist;
mod libtorch;
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

impl Tool {
    pub(crate) const ALL: [Self; 5] = [Self::Cxx, Self::Libtorch, Self::Toolchain, Self::Qemu, Self::FashionMnist];

    const fn name(self) -> &'static str {
        match self {
            Self::Cxx => "C++ compiler",
            Self::Libtorch => "libtorch",
            Self::Toolchain => "embedded toolchain",
            Self::Qemu => "QEMU",
            Self::FashionMnist => "Fashion-MNIST",
        }
    }

    const fn purpose(self) -> &'static str {
        match self {
            Self::Cxx => "compile the trainer's autograd functions against libtorch",
            Self::Libtorch => "train",
            Self::Toolchain => "build firmware",
            Self::Qemu => "run firmware without a board",
            Self::FashionMnist => "train and evaluate on 70,000 real images",
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
        }
    }

    fn install(self) -> Result<()> {
        match self {
            Self::Cxx => cxx::install(),
            Self::Libtorch => libtorch::install(),
            Self::Toolchain => toolchain::install(&boards::targets()),
            Self::Qemu => qemu::install(),
            Self::FashionMnist => fashion_mnist::install(),
        }
    }
}
