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

#[cfg(test)]
mod tests {
    use tch::Kind;

    use super::*;

    const BOUNDS: (f64, f64) = (-127.0, 127.0);

    /// Codes of values, at a step.
    fn codes(values: &[f64], step: f64, kind: Kind) -> Vec<f64> {
        let x = Tensor::from_slice(values).to_kind(kind);
        let step = Tensor::from(step).to_kind(kind);
        let rounded = fake_quantize(&x, &step, BOUNDS.0, BOUNDS.1).unwrap() / step;
        Vec::try_from(rounded.to_kind(Kind::Double)).unwrap()
    }

    #[test]
    fn fake_quantize_is_exact_just_below_a_tie() {
        for exponent in [-60, -7, 0, 9] {
            let step = 2_f64.powi(exponent);
            for code in -126..126 {
                let tie = (f64::from(code) + 0.5) * step;
                let single = tie as f32;
                let around = [single.next_down(), single, single.next_up()].map(f64::from);
                let code = f64::from(code);
                assert_eq!(codes(&around, step, Kind::Float), [code, code + 1.0, code + 1.0], "{tie:e}, f32");
                let around = [tie.next_down(), tie, tie.next_up()];
                assert_eq!(codes(&around, step, Kind::Double), [code, code + 1.0, code + 1.0], "{tie:e}, f64");
            }
        }
    }

    #[test]
    fn codes_stay_in_the_narrow_range() {
        let far = [126.4, 126.5, 127.0, 127.5, 128.0, 1e6, 3e38, f64::INFINITY];
        for (sign, expected) in [(1.0, [126.0, 127.0]), (-1.0, [-126.0, -127.0])] {
            let values = far.map(|value| sign * value);
            let got = codes(&values, 1.0, Kind::Float);
            assert_eq!(got[0], expected[0]);
            // Half up: -126.5 is -126.
            assert_eq!(got[1], if sign > 0.0 { 127.0 } else { -126.0 });
            assert!(got[2..].iter().all(|code| *code == expected[1]), "{got:?}");
        }
    }

    #[test]
    fn gradient_passes_inside_the_range_only() {
        let step = 0.25_f32;
        let (low, high) = (-127.5 * step, 127.5 * step);
        let values = [low.next_down(), low, 0.0, 0.125, high.next_down(), high, 1e9];
        let x = Tensor::from_slice(&values).set_requires_grad(true);
        let y = fake_quantize(&x, &Tensor::from(step), BOUNDS.0, BOUNDS.1).unwrap();
        (y * Tensor::from_slice(&[3_f32; 7])).sum(Kind::Float).backward();
        assert_eq!(Vec::<f32>::try_from(x.grad()).unwrap(), [0.0, 3.0, 3.0, 3.0, 3.0, 0.0, 0.0]);
    }

    #[test]
    fn a_step_a_row_is_used_for_its_row() {
        let x = Tensor::from_slice(&[1.0_f32, 1.0, 0.3, 0.3]).view([2, 2]);
        let y = fake_quantize(&x, &Tensor::from_slice(&[1.0_f32, 0.5]), -127.0, 127.0).unwrap();
        assert_eq!(Vec::<f32>::try_from(y.flatten(0, -1)).unwrap(), [1.0, 1.0, 0.5, 0.5]);
    }

    #[test]
    fn steps_that_do_not_fit_are_an_error() {
        let x = Tensor::zeros([3, 2], (Kind::Float, tch::Device::Cpu));
        let error = fake_quantize(&x, &Tensor::from_slice(&[1.0_f32, 1.0]), -127.0, 127.0).unwrap_err();
        assert!(error.to_string().contains("one step"), "{error}");
        let error = fake_quantize(&x, &Tensor::from(1.0_f64), -127.0, 127.0).unwrap_err();
        assert!(error.to_string().contains("input's type"), "{error}");
    }
}
