//! Two tensors of one shape, code by code.

use super::vectors::{Vectors, Work};
use crate::arithmetic::{requantize, rounding};
use crate::format::{Binary, BinaryKind};
use crate::kernels::ViewMut;

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
        put_all(narrow, target);
    } else {
        let mut narrow = [[0; 2]; N];
        for (bytes, code) in narrow.iter_mut().zip(codes) {
            let [low, high, ..] = code.to_le_bytes();
            *bytes = [low, high];
        }
        put_all(narrow, target.as_chunks_mut().0);
    }
}

/// Codes into their places, as many as there are.
#[inline(always)]
fn put_all<T, const N: usize>(codes: [T; N], target: &mut [T]) {
    match target.first_chunk_mut::<N>() {
        Some(target) => *target = codes,
        None => target.iter_mut().zip(codes).for_each(|(target, code)| *target = code),
    }
}
