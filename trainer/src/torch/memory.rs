//! Where libtorch is refused memory: an error, not a panic.
//!
//! tch panics where an operator fails. All of its failures but this one are mistakes of this program; memory depends on the
//! machine, and on what a user asks for.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

use anyhow::{Error, Result};
use tch::TchError;
use thiserror::Error;

/// What libtorch and the libraries below it say of memory that they do not get, or cannot even count.
const SIGNS: [&str; 6] = [
    "ried to allocate",
    "out of memory",
    "bad_alloc",
    "ALLOC_FAILED",
    "Storage size calculation overflowed",
    "integer multiplication overflow",
];

/// libtorch was refused memory.
#[derive(Debug, Error, PartialEq, Eq)]
#[error("out of memory: libtorch asked for {asked}")]
pub struct OutOfMemory {
    asked: String,
}

impl OutOfMemory {
    /// What a message of libtorch's, or of a panic with one, says of memory; nothing where it is about something else.
    #[must_use]
    pub fn of(message: &str) -> Option<Self> {
        SIGNS.iter().any(|sign| message.contains(sign)).then(|| {
            let asked = message.split_once("ried to allocate ").map(|(_, asked)| asked);
            let asked = asked.and_then(|asked| asked.split(". ").next()).unwrap_or("more than there is");
            Self { asked: asked.to_owned() }
        })
    }
}

/// Does some work; where libtorch is refused memory in it, by an error or a panic, that is an [`OutOfMemory`].
///
/// # Errors
/// Those of the work.
pub fn caught<T>(work: impl FnOnce() -> Result<T>) -> Result<T> {
    // A panic under `no_grad` leaves gradients off.
    match tch::with_grad(|| catch_unwind(AssertUnwindSafe(work))) {
        Ok(result) => result.map_err(named),
        Err(panic) => match OutOfMemory::of(message(&*panic)) {
            Some(error) => Err(error.into()),
            None => resume_unwind(panic),
        },
    }
}

/// What a panic says.
#[must_use]
pub fn message(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    text.or(panic.downcast_ref::<&str>().copied()).unwrap_or_default()
}

/// The error itself, or what libtorch says of memory in it.
fn named(error: Error) -> Error {
    let of_torch = error.chain().find_map(|cause| cause.downcast_ref::<TchError>());
    of_torch.and_then(|cause| OutOfMemory::of(&cause.to_string())).map_or(error, Error::from)
}

#[cfg(test)]
mod tests {
    use tch::{Device, Kind, Tensor};

    use super::*;

    #[test]
    fn what_libraries_say_of_memory_is_an_error() {
        let asked = |message: &str| OutOfMemory::of(message).map(|error| error.asked);
        let cuda = "CUDA out of memory. Tried to allocate 2.50 GiB. GPU 0 has a total capacity of 79.10 GiB of which 1 is free.";
        assert_eq!(asked(cuda).as_deref(), Some("2.50 GiB"));
        for other in
            ["std::bad_alloc", "CUDA error: out of memory\nCUDA kernel errors might be", "CUBLAS_STATUS_ALLOC_FAILED"]
        {
            assert_eq!(asked(other).as_deref(), Some("more than there is"));
        }
        assert_eq!(asked("The size of tensor a (3) must match"), None);
    }

    #[test]
    fn more_memory_than_an_address_reaches_is_an_error() {
        let zeros = |len: i64| move || Tensor::zeros([len], (Kind::Float, Device::Cpu));
        for len in [1 << 50, 1 << 62] {
            let error = caught(|| Ok(tch::no_grad(zeros(len)))).unwrap_err();
            assert!(error.is::<OutOfMemory>(), "{error:#}");
            let error = caught(|| Ok(Tensor::f_zeros([len], (Kind::Float, Device::Cpu))?)).unwrap_err();
            assert!(error.is::<OutOfMemory>(), "{error:#}");
        }
        let bytes = OutOfMemory { asked: "4503599627370496 bytes".to_owned() };
        assert_eq!(caught(|| Ok(zeros(1 << 50)())).unwrap_err().downcast::<OutOfMemory>().unwrap(), bytes);
        // Gradients are on again.
        let x = Tensor::ones([1], (Kind::Float, Device::Cpu)).set_requires_grad(true);
        assert!((&x * 2.0).requires_grad());
    }

    #[test]
    fn other_panics_and_errors_stay_what_they_are() {
        let panic = catch_unwind(|| caught(|| -> Result<()> { panic!("a mistake") })).unwrap_err();
        assert_eq!(message(&*panic), "a mistake");
        let error = caught(|| -> Result<()> { anyhow::bail!("a file: out of memory of yesterday") }).unwrap_err();
        assert!(!error.is::<OutOfMemory>());
    }
}
