//! Quantizers: from real values to codes and back. Spec 1, 6.
//!
//! [`codes`] says which codes there are, [`range`] what they cover, [`exponent`] which step does that; [`observer`] keeps both over the
//! batches, [`learned`] leaves them to the gradient. A [`Quantizer`] is all of it for one tensor. [`gradient`] does it on the way back.

pub mod affine;
pub mod codes;
pub mod exponent;
pub mod gradient;
pub mod learned;
pub mod observer;
pub mod range;
pub mod rows;
pub mod settings;

pub use codes::CodeRange;
pub use observer::Quantizer;
pub use settings::{Settings, Steps};

use tch::Tensor;

/// The step by which codes cover a range.
///
/// range   `[G]`, not negative
/// output  `[G]`
pub fn step_of(range: &Tensor, settings: &Settings) -> Tensor {
    let hi = settings.codes.hi;
    match settings.steps {
        Steps::Covering => exponent::cover(range, hi),
        Steps::Logarithm => exponent::cover_by_logarithm(range, hi),
        Steps::Real => (range / f64::from(hi)).clamp_min(f64::from(f32::MIN_POSITIVE)),
    }
}
