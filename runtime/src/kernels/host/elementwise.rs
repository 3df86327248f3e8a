//! Two tensors of one shape, code by code.

use super::vectors::{Vectors, Work};
use crate::arithmetic::{multiply, requantize, rounding};
use crate::format::{AffineBinary, AffineBinaryKind, AffineOperand, Binary, BinaryKind};
use crate::kernels::ViewMut;
use crate::kernels::portable::HEADROOM;

/// Codes that are combined at a time.
const CODES: usize = 16;

/// A run of a layer. Spec 4.6.
pub(super) struct Run<'a> {
    pub(super) op: &'a Binary,
    /// `[H, W, C]`, and some codes behind.
    pub(super) a: &'a [i16],
    /// As `a`.
    pub(super) b: &'a [i16],
    pub(super) output: ViewMut<'a>,
}

impl Work for Run<'_> {
    #[inline(always)]
    fn run<V: Vectors<L>, const L: usize>(self, _: V) {
        if self.op.right_shift >= 0 { self.shifted::<true>() } else { self.shifted::<false>() }
    }
}

impl Run<'_> {
    #[inline(always)]
    fn shifted<const RIGHT: bool>(self) {
        match self.op.kind {
            BinaryKind::Add => self.combine::<RIGHT>(|a, b| a.wrapping_add(b)),
            BinaryKind::Sub => self.combine::<RIGHT>(|a, b| a.wrapping_sub(b)),
            BinaryKind::Mul => self.combine::<RIGHT>(|a, b| a.wrapping_mul(b)),
            BinaryKind::Minimum => self.combine::<RIGHT>(|a, b| a.min(b)),
            BinaryKind::Maximum => self.combine::<RIGHT>(|a, b| a.max(b)),
        }
    }

    #[inline(always)]
    fn combine<const RIGHT: bool>(self, f: impl Fn(i32, i32) -> i32) {
        let Binary { a_shift, b_shift, right_shift, activation, .. } = *self.op;
        let (a_shift, b_shift, half) = (a_shift & 31, b_shift & 31, rounding(right_shift));
        let (min, max) = (i32::from(activation.min), i32::from(activation.max));
        each(self.a, self.b, self.output, |a, b| {
            let acc = f(a << a_shift, b << b_shift).wrapping_add(half);
            if RIGHT { (acc >> (right_shift & 31)).min(max).max(min) } else { requantize(acc, right_shift, activation) }
        });
    }
}

/// A run of a layer of the affine scheme. Spec 4.20.
pub(super) struct AffineRun<'a> {
    pub(super) op: &'a AffineBinary,
    /// `[H, W, C]`, and some codes behind.
    pub(super) a: &'a [i16],
    /// As `a`.
    pub(super) b: &'a [i16],
    pub(super) output: ViewMut<'a>,
}

impl Work for AffineRun<'_> {
    #[inline(always)]
    fn run<V: Vectors<L>, const L: usize>(self, _: V) {
        let AffineBinary { kind, a, b, .. } = *self.op;
        let aligned = |x: i32, operand: &AffineOperand| multiply(x << HEADROOM, operand.multiplier, operand.shift);
        match kind {
            AffineBinaryKind::Add => self.combine(|x, y| aligned(x, &a).wrapping_add(aligned(y, &b))),
            AffineBinaryKind::Sub => self.combine(|x, y| aligned(x, &a).wrapping_sub(aligned(y, &b))),
            AffineBinaryKind::Mul => self.combine(i32::wrapping_mul),
        }
    }
}

impl AffineRun<'_> {
    /// `f` takes what the operands' codes are above those of 0.
    #[inline(always)]
    fn combine(self, f: impl Fn(i32, i32) -> i32) {
        let AffineBinary { a, b, output, activation, .. } = *self.op;
        let [a_zero, b_zero, zero] = [a.zero, b.zero, output.zero].map(i32::from);
        let (min, max) = (i32::from(activation.min) - zero, i32::from(activation.max) - zero);
        each(self.a, self.b, self.output, |a, b| {
            let code = multiply(f(a - a_zero, b - b_zero), output.multiplier, output.shift);
            code.min(max).max(min) + zero
        });
    }
}

/// Writes `f` of every two codes.
#[inline(always)]
fn each(a: &[i16], b: &[i16], output: ViewMut<'_>, f: impl Fn(i32, i32) -> i32) {
    let element_bytes = output.element.bytes();
    let (a, _) = a.as_chunks::<CODES>();
    let (b, _) = b.as_chunks::<CODES>();
    for ((a, b), target) in a.iter().zip(b).zip(output.bytes.chunks_mut(CODES * element_bytes)) {
        let mut codes = [0; CODES];
        for ((code, a), b) in codes.iter_mut().zip(a).zip(b) {
            *code = f((*a).into(), (*b).into());
        }
        put(codes, element_bytes, target);
    }
}

/// Codes into their bytes, as many as there are.
#[inline(always)]
pub(super) fn put<const N: usize>(codes: [i32; N], element_bytes: usize, target: &mut [u8]) {
    if element_bytes == 1 {
        let mut narrow = [0; N];
        for (byte, code) in narrow.iter_mut().zip(codes) {
            *byte = code.to_le_bytes()[0];
        }
        match target.first_chunk_mut::<N>() {
            Some(target) => *target = narrow,
            None => target.iter_mut().zip(narrow).for_each(|(byte, code)| *byte = code),
        }
    } else {
        for (bytes, code) in target.as_chunks_mut::<2>().0.iter_mut().zip(codes) {
            let [low, high, ..] = code.to_le_bytes();
            *bytes = [low, high];
        }
    }
}
