//! The device that a training runs on.

use std::str::FromStr;

use anyhow::{Context, Result, bail, ensure};
use tch::{Cuda, Device};

use super::shim;

/// A device as the command line names it: `cpu`, `cuda`, or `cuda:1` for the second of several.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum DeviceName {
    /// The processor.
    #[default]
    Cpu,
    /// A GPU of NVIDIA's, by its number.
    Cuda(usize),
}

impl FromStr for DeviceName {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "cpu" => Ok(Self::Cpu),
            "cuda" => Ok(Self::Cuda(0)),
            _ => text
                .strip_prefix("cuda:")
                .and_then(|number| number.parse().ok())
                .map(Self::Cuda)
                .ok_or_else(|| "cpu, cuda, or cuda:1 for the second of several".to_owned()),
        }
    }
}

impl DeviceName {
    /// Makes the device ready: of CUDA the part of libtorch that is opened only here, with algorithms that give the same
    /// bits at every run.
    ///
    /// # Errors
    /// Where libtorch's part for CUDA cannot be opened, or there is no such GPU.
    pub fn open(self) -> Result<Device> {
        let Self::Cuda(number) = self else { return Ok(Device::Cpu) };
        shim::open_cuda().context(
            "libtorch cannot run on CUDA: install one that can, PyPI's torch with its CUDA parts, or use --device cpu",
        )?;
        let count = usize::try_from(Cuda::device_count()).unwrap_or_default();
        if count == 0 {
            bail!("there is no GPU that libtorch can use: install NVIDIA's driver, or use --device cpu");
        }
        ensure!(number < count, "cuda:{number}: there are {count} GPUs, counted from 0");
        Ok(Device::Cuda(number))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn devices_have_the_names_of_pytorch() {
        let names = ["cpu", "cuda", "cuda:3"].map(|text| text.parse::<DeviceName>().unwrap());
        assert_eq!(names, [DeviceName::Cpu, DeviceName::Cuda(0), DeviceName::Cuda(3)]);
        for text in ["gpu", "cuda:", "cuda:x", "CPU", ""] {
            assert!(text.parse::<DeviceName>().is_err(), "{text}");
        }
    }
}
