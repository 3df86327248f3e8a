//! The autograd shim: fake-quantize with a straight-through gradient, and gradients that are replaced on their way. The one file
//! of this crate with `unsafe`.
#![allow(unsafe_code)]

use std::ffi::{CStr, CString, c_char, c_void};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::ptr;

use tch::{TchError, Tensor};
use torch_sys::C_tensor;

use super::memory::message;
use crate::quantizer_config::Products;

unsafe extern "C" {
    fn stepshift_fake_quantize(
        out: *mut *mut C_tensor,
        x: *const C_tensor,
        step: *const C_tensor,
        zero: *const C_tensor,
        stochastic: bool,
        axis: i64,
        lo: f64,
        hi: f64,
    ) -> *mut c_char;
    fn stepshift_covering_steps(
        out: *mut *mut C_tensor,
        ranges: *const C_tensor,
        significand: f64,
        bits: f64,
    ) -> *mut c_char;
    fn stepshift_on_gradient(
        out: *mut *mut C_tensor,
        x: *const C_tensor,
        replace: extern "C" fn(*mut c_void, *mut C_tensor, *mut c_void) -> *mut C_tensor,
        user: *mut c_void,
        drop: extern "C" fn(*mut c_void),
    ) -> *mut c_char;
    fn stepshift_tell(failure: *mut c_void, text: *const c_char);
    fn stepshift_open_cuda() -> *mut c_char;
    fn stepshift_set_products(precision: i32);
    fn stepshift_begin_count() -> u64;
    fn stepshift_end_count(handle: u64) -> i64;
    fn stepshift_free(message: *mut c_char);
}

/// How a fake-quantize rounds and where it clamps.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Rounding {
    /// Least code.
    pub lo: f64,
    /// Greatest code.
    pub hi: f64,
    /// Up with the probability of the fraction (spec 6.4) instead of half up (spec 1.2).
    pub stochastic: bool,
    /// Dimension along which there is a step for each entry, where there is more than one.
    pub axis: i64,
}

impl Rounding {
    /// Half up, with a step for each entry of the first dimension.
    #[must_use]
    pub const fn half_up(lo: f64, hi: f64) -> Self {
        Self { lo, hi, stochastic: false, axis: 0 }
    }
}

/// `(clamp(round(x / step) + zero, lo, hi) - zero) * step`, exactly where the step is a power of two. Spec 1.2; the gradient of
/// `x` is that of 6.3, that of `step` Esser et al. 2020, equation 3.
///
/// x     any shape, f32 or f64
/// step  one element, or one for each entry of the rounding's dimension, of x's type
/// zero  as many codes of 0; 0 where left out
///
/// # Errors
/// Where `step` or `zero` has another type or length.
pub fn fake_quantize(x: &Tensor, step: &Tensor, zero: Option<&Tensor>, rounding: Rounding) -> Result<Tensor, TchError> {
    let mut out = ptr::null_mut();
    let Rounding { lo, hi, stochastic, axis } = rounding;
    let zero = zero.map_or(ptr::null(), |zero| zero.as_ptr());
    // SAFETY: all tensors are alive during the call, `out` is valid for one write, and C++ exceptions end in the shim.
    let message =
        unsafe { stepshift_fake_quantize(&raw mut out, x.as_ptr(), step.as_ptr(), zero, stochastic, axis, lo, hi) };
    take(out, message)
}

/// The least step `2^e` with `range <= significand * 2^(bits + e)`, elementwise, at least `2^-126`. Spec 1.4.
///
/// ranges       any shape, f32 or f64, not negative
/// significand  1/2 to below 1
///
/// # Errors
/// Where `ranges` has another type.
pub fn covering_steps(ranges: &Tensor, significand: f64, bits: u32) -> Result<Tensor, TchError> {
    let mut out = ptr::null_mut();
    // SAFETY: as in `fake_quantize`.
    let message = unsafe { stepshift_covering_steps(&raw mut out, ranges.as_ptr(), significand, bits.into()) };
    take(out, message)
}

/// Makes another gradient of a gradient.
type Replace = Box<dyn Fn(&Tensor) -> Result<Tensor, TchError> + Send>;

/// `x`, whose gradient is replaced on its way back; `x` itself where nothing asks for its gradient.
///
/// An error or a panic of `replace` fails the backward pass, which says what it said.
///
/// # Errors
/// Those of libtorch.
pub fn on_gradient(
    x: &Tensor,
    replace: impl Fn(&Tensor) -> Result<Tensor, TchError> + Send + 'static,
) -> Result<Tensor, TchError> {
    let user: *mut Replace = Box::into_raw(Box::new(Box::new(replace)));
    let mut out = ptr::null_mut();
    // SAFETY: `x` is alive during the call, `out` is valid for one write; the shim owns `user` from here on and hands it to
    // `drop_replace` once.
    let message = unsafe { stepshift_on_gradient(&raw mut out, x.as_ptr(), call_replace, user.cast(), drop_replace) };
    take(out, message)
}

extern "C" fn call_replace(user: *mut c_void, gradient: *mut C_tensor, failure: *mut c_void) -> *mut C_tensor {
    // SAFETY: the shim passes the pointer that `on_gradient` made, alive until `drop_replace`, and a new tensor that is ours.
    let (replace, gradient) = unsafe { (&*user.cast::<Replace>(), Tensor::from_ptr(gradient)) };
    let result = catch_unwind(AssertUnwindSafe(|| replace(&gradient)));
    let told = match result {
        Ok(Ok(mut result)) => {
            let pointer = result.as_mut_ptr();
            std::mem::forget(result);
            return pointer;
        }
        Ok(Err(error)) => error.to_string(),
        Err(panic) => message(&*panic).to_owned(),
    };
    let text = CString::new(told).unwrap_or_default();
    // SAFETY: the shim passes a string of its own that outlives the call, and copies the text.
    unsafe { stepshift_tell(failure, text.as_ptr()) };
    ptr::null_mut()
}

extern "C" fn drop_replace(user: *mut c_void) {
    // SAFETY: the pointer comes from `on_gradient` and is dropped here, once.
    drop(unsafe { Box::from_raw(user.cast::<Replace>()) });
}

/// Opens libtorch's part for CUDA, and asks for algorithms that give the same bits at every run. To be called before anything
/// asks for CUDA.
///
/// # Errors
/// Says which library is missing.
pub fn open_cuda() -> Result<(), TchError> {
    // SAFETY: the function takes nothing, and its message is the shim's.
    failure(unsafe { stepshift_open_cuda() })
}

/// How factors of products are rounded inside an operator of f32, from now on and for the whole program. Sums stay f32.
pub fn set_products(precision: Products) {
    // SAFETY: the function takes a number and sets libtorch's own settings.
    unsafe { stepshift_set_products(precision as i32) }
}

/// How many operators made the host wait for a device while `work` ran: values that were read, sizes that follow from values,
/// copies to the host. Of this thread and its backward passes; of two counts at a time neither is right.
pub fn count_waits<T>(work: impl FnOnce() -> T) -> (T, i64) {
    // SAFETY: the shim's callback lives as long as the program, and the handle is given back once.
    let handle = unsafe { stepshift_begin_count() };
    let result = work();
    // SAFETY: as above.
    let waits = unsafe { stepshift_end_count(handle) };
    (result, waits)
}

/// A result of the shim, or its error message.
fn take(out: *mut C_tensor, message: *mut c_char) -> Result<Tensor, TchError> {
    failure(message)?;
    // SAFETY: without a message the shim has set `out` to a new tensor that is ours.
    Ok(unsafe { Tensor::from_ptr(out) })
}

/// The error that a message of the shim is, if there is one.
fn failure(message: *mut c_char) -> Result<(), TchError> {
    if message.is_null() {
        return Ok(());
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

    unsafe extern "C" {
        fn stepshift_fake_quantize_text() -> *const c_char;
        fn stepshift_launch_symbol() -> *const c_char;
    }

    const NARROW: Rounding = Rounding::half_up(-127.0, 127.0);

    /// All other tests are of the loops that the host compiles from the same text.
    #[test]
    fn a_gpu_is_given_the_text_that_the_host_compiles() {
        // SAFETY: the shim's constants end in zero and are never freed.
        let text = unsafe { CStr::from_ptr(stepshift_fake_quantize_text()) };
        assert_eq!(text.to_str().unwrap(), include_str!("../../shim/fake_quantize.cuh"));
    }

    #[test]
    fn libtorch_has_what_launches_the_text_on_a_gpu() {
        // SAFETY: as above.
        let symbol = unsafe { CStr::from_ptr(stepshift_launch_symbol()) }.to_bytes_with_nul();
        // A libtorch for the CPU alone has no such part.
        let Ok(library) = std::fs::read(concat!(env!("STEPSHIFT_LIBTORCH_LIBRARIES"), "/libtorch_cuda.so")) else {
            return;
        };
        // The table of strings has the symbol as it is.
        assert!(library.windows(symbol.len()).any(|window| window == symbol));
    }

    /// What a code and a gradient are by the spec, in f64.
    struct Reference {
        lo: f64,
        hi: f64,
        step: f64,
        zero: f64,
    }

    impl Reference {
        /// Before it is clamped, of `t = x / step` as it was rounded to the tensors' type.
        fn code(&self, t: f64, noise: f64) -> f64 {
            t.floor() + f64::from(u8::from(t - t.floor() >= 1.0 - noise)) + self.zero
        }

        fn quantized(&self, t: f64, noise: f64) -> f64 {
            (self.code(t, noise).clamp(self.lo, self.hi) - self.zero) * self.step
        }

        fn is_inside(&self, t: f64) -> bool {
            (self.lo..=self.hi).contains(&self.code(t, 0.5))
        }
    }

    /// Values at ties, around them and at the bounds of codes of 4 bits, far away, and none at all.
    fn values(count: usize, kind: Kind) -> Vec<f64> {
        let next = |x: f64, up: bool| match (kind, up) {
            (Kind::Float, true) => (x as f32).next_up().into(),
            (Kind::Float, false) => (x as f32).next_down().into(),
            (_, true) => x.next_up(),
            (_, false) => x.next_down(),
        };
        let of = |index: usize| {
            let tie = (index / 8 % 41) as f64 - 20.5;
            [tie, next(tie, true), next(tie, false), tie + 0.5, 0.3 * tie, -0.0, 1e30 * tie, f64::NAN][index % 8]
        };
        (0..count).map(of).collect()
    }

    #[test]
    fn every_element_is_as_the_spec_has_it() {
        let (channels, inner) = (5_usize, 1999_usize);
        let shape = [3, channels as i64, inner as i64];
        let count = 3 * channels * inner;
        for (kind, steps, zeros, stochastic) in [
            (Kind::Float, vec![0.5], None, false),
            (Kind::Float, vec![0.5, 1.0, 0.25, 8.0, 2.0_f64.powi(-60)], None, false),
            (Kind::Float, vec![0.3, 1.7, 0.1, 5.0, 1e-3], Some(vec![-3.0, 0.0, 8.0, -8.0, 7.0]), false),
            (Kind::Float, vec![0.25], Some(vec![5.0]), true),
            (Kind::Double, vec![0.5, 1.0, 0.25, 8.0, 2.0_f64.powi(-60)], None, true),
            (Kind::Double, vec![0.7], Some(vec![-8.0]), false),
        ] {
            let tensor = |values: &[f64]| Tensor::from_slice(values).to_kind(kind);
            let read = |tensor: &Tensor| Vec::<f64>::try_from(tensor.to_kind(Kind::Double).flatten(0, -1)).unwrap();
            let scales = steps.iter().map(|step| *step as f32).map(f64::from).collect::<Vec<_>>();
            let step = tensor(&scales);
            let by_channel = if scales.len() == 1 { step.shallow_clone() } else { step.view([1, -1, 1]) };
            let x = (tensor(&values(count, kind)).view(shape) * by_channel.shallow_clone()).set_requires_grad(true);
            let t = read(&(x.detach() / by_channel));
            let zero = zeros.as_deref().map(tensor);
            let rounding = Rounding { stochastic, axis: 1, ..Rounding::half_up(-8.0, 7.0) };
            let reference = |index: usize| {
                let channel = index / inner % channels;
                let of = |values: &[f64]| values[if values.len() == 1 { 0 } else { channel }];
                Reference { lo: -8.0, hi: 7.0, step: of(&scales), zero: zeros.as_deref().map_or(0.0, of) }
            };
            let expected = |index: usize, noise: f64| {
                let expected = reference(index).quantized(t[index], noise);
                if kind == Kind::Float { f64::from(expected as f32) } else { expected }
            };
            let is_expected =
                |index: usize, got: f64, noise: f64| got == expected(index, noise) || got.is_nan() && t[index].is_nan();
            // Tests beside this one draw from the same generator: where one did in between, both are drawn again.
            let mut draws = if stochastic { 50 } else { 1 };
            let (noise, y) = loop {
                tch::manual_seed(5);
                let noise = if stochastic { read(&x.detach().rand_like()) } else { vec![0.5; count] };
                tch::manual_seed(5);
                let y = fake_quantize(&x, &step, zero.as_ref(), rounding).unwrap();
                draws -= 1;
                let mut results = read(&y).into_iter().zip(&noise).enumerate();
                if draws == 0 || results.all(|(index, (got, noise))| is_expected(index, got, *noise)) {
                    break (noise, y);
                }
            };
            (&y * 3.0).sum(kind).backward();
            for (index, (got, gradient)) in read(&y).into_iter().zip(read(&x.grad())).enumerate() {
                let value = t[index];
                let wanted = expected(index, noise[index]);
                assert!(
                    is_expected(index, got, noise[index]),
                    "{kind:?} {steps:?} {zeros:?}: {value} became {got}, not {wanted}"
                );
                assert_eq!(gradient, if reference(index).is_inside(value) { 3.0 } else { 0.0 }, "at {value}");
            }
        }
    }

    /// Code for code and gradient for gradient, whichever dimension lies innermost, with a step for each entry of either.
    #[test]
    fn values_that_lie_otherwise_stay_so_and_have_the_same_bits() {
        let (channels, shape) = (5_i64, [5, 5, 90, 11]);
        let count = shape.iter().product::<i64>();
        let x = Tensor::from_slice(&values(count as usize, Kind::Float)).to_kind(Kind::Float).view(shape);
        let gradient = Tensor::arange(count, (Kind::Float, tch::Device::Cpu)).view(shape);
        let steps = Tensor::from_slice(&[0.3_f32, 1.0, 0.25, 8.0, 1e-3]);
        let zeros = Tensor::from_slice(&[-3_f32, 0.0, 8.0, -8.0, 7.0]);
        let last = |x: &Tensor| x.permute([0, 2, 3, 1]).contiguous().permute([0, 3, 1, 2]);
        let read = |x: &Tensor| Vec::<f32>::try_from(x.flatten(0, -1)).unwrap();
        let bits = |x: &Tensor| read(x).into_iter().map(f32::to_bits).collect::<Vec<u32>>();
        for (count, axis, zero, stochastic) in
            [(1, 1, false, false), (channels, 1, false, false), (channels, 1, true, true), (channels, 0, true, false)]
        {
            let step = steps.narrow(0, 0, count);
            let zero = zero.then_some(&zeros);
            let rounding = Rounding { stochastic, axis, ..Rounding::half_up(-8.0, 7.0) };
            let run = |x: Tensor, gradient: &Tensor| {
                tch::manual_seed(6);
                let x = x.set_requires_grad(true);
                let y = fake_quantize(&x, &step, zero, rounding).unwrap();
                (&y * gradient).sum(Kind::Float).backward();
                (y.detach(), x.grad())
            };
            // Tests beside this one draw from the same generator: where one did in between, both are drawn again.
            let mut draws = if stochastic { 50 } else { 1 };
            loop {
                draws -= 1;
                let (expected, expected_gradient) = run(x.copy(), &gradient);
                let (got, got_gradient) = run(last(&x), &last(&gradient));
                if bits(&expected) != bits(&got) && draws > 0 {
                    continue;
                }
                assert_eq!(bits(&expected), bits(&got), "{count} along {axis}");
                assert_eq!(bits(&expected_gradient), bits(&got_gradient), "{count} along {axis}");
                assert!(got.permute([0, 2, 3, 1]).is_contiguous() && expected.is_contiguous());
                // Where the gradient lies as the value does not.
                assert_eq!(bits(&expected_gradient), bits(&run(last(&x), &gradient).1));
                break;
            }
        }
    }

    /// Codes of values, at a step.
    fn codes(values: &[f64], step: f64, kind: Kind) -> Vec<f64> {
        let x = Tensor::from_slice(values).to_kind(kind);
        let step = Tensor::from(step).to_kind(kind);
        let rounded = fake_quantize(&x, &step, None, NARROW).unwrap() / step;
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
        let y = fake_quantize(&x, &Tensor::from(step), None, NARROW).unwrap();
        (y * Tensor::from_slice(&[3_f32; 7])).sum(Kind::Float).backward();
        assert_eq!(Vec::<f32>::try_from(x.grad()).unwrap(), [0.0, 3.0, 3.0, 3.0, 3.0, 0.0, 0.0]);
    }

    #[test]
    fn a_step_a_row_is_used_for_its_row() {
        let x = Tensor::from_slice(&[1.0_f32, 1.0, 0.3, 0.3]).view([2, 2]);
        let y = fake_quantize(&x, &Tensor::from_slice(&[1.0_f32, 0.5]), None, NARROW).unwrap();
        assert_eq!(Vec::<f32>::try_from(y.flatten(0, -1)).unwrap(), [1.0, 1.0, 0.5, 0.5]);
    }

    #[test]
    fn steps_that_do_not_fit_are_an_error() {
        let x = Tensor::zeros([3, 2], (Kind::Float, tch::Device::Cpu));
        let error = fake_quantize(&x, &Tensor::from_slice(&[1.0_f32, 1.0]), None, NARROW).unwrap_err();
        assert!(error.to_string().contains("one step"), "{error}");
        let error = fake_quantize(&x, &Tensor::from(1.0_f64), None, NARROW).unwrap_err();
        assert!(error.to_string().contains("input's type"), "{error}");
    }

    #[test]
    fn a_step_a_column_is_used_for_its_column() {
        let x = Tensor::from_slice(&[1.0_f32, 1.0, 0.3, 0.3]).view([2, 2]);
        let columns = Rounding { axis: 1, ..NARROW };
        let y = fake_quantize(&x, &Tensor::from_slice(&[1.0_f32, 0.5]), None, columns).unwrap();
        assert_eq!(Vec::<f32>::try_from(y.flatten(0, -1)).unwrap(), [1.0, 1.0, 0.0, 0.5]);
    }

    #[test]
    fn a_zero_point_moves_the_range_and_not_the_values() {
        let x = Tensor::from_slice(&[-3.0_f32, -1.0, 0.0, 1.3, 250.0, 400.0]);
        let bytes = Rounding::half_up(-128.0, 127.0);
        let y = fake_quantize(&x, &Tensor::from(1_f32), Some(&Tensor::from(-126_f32)), bytes).unwrap();
        assert_eq!(Vec::<f32>::try_from(y).unwrap(), [-2.0, -1.0, 0.0, 1.0, 250.0, 253.0]);
    }

    /// Defect 4 of nics_fix: noise is added, on the CPU, into the input, and nothing is rounded.
    #[test]
    fn stochastic_rounding_gives_codes_without_bias_and_leaves_the_input_alone() {
        tch::manual_seed(7);
        let x = Tensor::full([100_000], 2.3, (Kind::Float, tch::Device::Cpu));
        let rounding = Rounding { stochastic: true, ..NARROW };
        let y = fake_quantize(&x, &Tensor::from(1_f32), None, rounding).unwrap();
        let values = Vec::<f32>::try_from(&y).unwrap();
        assert!(values.iter().all(|value| [2.0, 3.0].contains(value)));
        assert!((y.mean(Kind::Double).double_value(&[]) - 2.3).abs() < 0.01);
        assert_eq!(x.min().double_value(&[]), f64::from(2.3_f32));
        let whole = fake_quantize(&x.full_like(119.0), &Tensor::from(1_f32), None, rounding).unwrap();
        assert_eq!((whole.min().double_value(&[]), whole.max().double_value(&[])), (119.0, 119.0));
    }

    #[test]
    fn the_gradient_of_a_step_is_that_of_learned_step_sizes() {
        let x = Tensor::from_slice(&[0.3_f32, 0.7, 9.0, -9.0]);
        let step = Tensor::from(0.5_f32).set_requires_grad(true);
        let y = fake_quantize(&x, &step, None, Rounding::half_up(-8.0, 7.0)).unwrap();
        y.sum(Kind::Float).backward();
        // Inside round(t) - t, outside the bound: (1 - 0.6) + (1 - 1.4) + 7 - 8.
        assert!((step.grad().double_value(&[]) + 1.0).abs() < 1e-5, "{}", step.grad().double_value(&[]));
    }

    #[test]
    fn a_gradient_is_replaced_on_its_way() {
        let x = Tensor::from_slice(&[1_f32, 2.0]).set_requires_grad(true);
        let y = on_gradient(&(&x * 3.0), |gradient| Ok(gradient * 10.0)).unwrap();
        (y * Tensor::from_slice(&[1_f32, 2.0])).sum(Kind::Float).backward();
        assert_eq!(Vec::<f32>::try_from(x.grad()).unwrap(), [30.0, 60.0]);
    }

    #[test]
    fn a_gradient_that_cannot_be_replaced_fails_the_backward_pass() {
        let x = Tensor::from_slice(&[1_f32]).set_requires_grad(true);
        let failure = |replace: fn(&Tensor) -> Result<Tensor, TchError>| {
            let y = on_gradient(&x, replace).unwrap();
            Tensor::f_run_backward(&[y], &[&x], false, false).unwrap_err().to_string()
        };
        let by_error = failure(|_| Err(TchError::Torch("no room".to_owned())));
        assert!(by_error.contains("a gradient could not be quantized") && by_error.contains("no room"), "{by_error}");
        let by_panic = failure(|_| panic!("no room"));
        assert!(by_panic.contains("no room"), "{by_panic}");
    }
}
