//! The autograd shim: fake-quantize with a straight-through gradient. The one file of this crate with `unsafe`.
#![allow(unsafe_code)]

use std::ffi::{CStr, c_char};
use std::ptr;

use tch::{TchError, Tensor};
use torch_sys::C_tensor;

unsafe extern "C" {
    fn stepshift_fake_quantize(
        out: *mut *mut C_tensor,
        x: *const C_tensor,
        step: *const C_tensor,
        lo: f64,
        hi: f64,
    ) -> *mut c_char;
    fn stepshift_free(message: *mut c_char);
}

/// `clamp(round_half_up(x / step), lo, hi) * step`, exactly. Spec 1.2; the gradient is that of 6.3.
///
/// x     any shape, f32 or f64
/// step  one element, or one for each entry of the first dimension; powers of two, of x's type
///
/// # Errors
/// Where `step` has another type or length.
pub fn fake_quantize(x: &Tensor, step: &Tensor, lo: f64, hi: f64) -> Result<Tensor, TchError> {
    let mut out = ptr::null_mut();
    // SAFETY: both tensors are alive during the call, `out` is valid for one write, and C++ exceptions end in the shim.
    let message = unsafe { stepshift_fake_quantize(&raw mut out, x.as_ptr(), step.as_ptr(), lo, hi) };
    take(out, message)
}

/// A result of the shim, or its error message.
fn take(out: *mut C_tensor, message: *mut c_char) -> Result<Tensor, TchError> {
    if message.is_null() {
        // SAFETY: without a message the shim has set `out` to a new tensor that is ours.
        return Ok(unsafe { Tensor::from_ptr(out) });
    }
    // SAFETY: a message is a string that ends in zero, allocated by the shim and freed here, once.
    let text = unsafe {
        let text = CStr::from_ptr(message).to_string_lossy().into_owned();
        stepshift_free(message);
        text
    };
    Err(TchError::Torch(text))
}
