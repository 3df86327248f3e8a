//! Two tensors of the affine scheme, code by code.

use super::vectors::{Vectors, Work};
use crate::format::{AffineBinary, AffineBinaryKind, AffineOperand, Element};
use crate::kernels::portable::{HEADROOM, affine_code};

/// Codes that are combined at a time.
const CODES: usize = 16;

/// Distance of the two codes from their zeros, together, below which no step of a sum leaves 32 bits.
const GREATEST_REACH: i64 = 1 << 10;

/// A layer, and a shorter way to most of its codes.
#[derive(Debug)]
pub(super) struct Combination {
    /// Zeros of the operands are those of codes without a sign.
    op: AffineBinary,
    /// What takes the sign from each operand's codes.
    flips: [u8; 2],
    line: Option<Line>,
}

/// A sum as one number with a binary point: its code is `(a * x + b * y + start) >> point`.
///
/// The three multiplications of the exact form are linear but for their roundings. Those move a code by less than
/// `3 * 2^shift` of the last multiplication's shift, and the rounded `a` and `b` by half a unit for each step of a code from
/// its zero; `doubt`, a power of two, is more than both. `start` has half a code and `doubt`: where the fraction of a sum is at
/// least twice `doubt`, the exact form ends in the same code.
#[derive(Debug, Clone, Copy)]
struct Line {
    a: i32,
    b: i32,
    start: i32,
    point: u32,
    /// The bits of a fraction from that of twice `doubt` on: none is set where the fraction is less.
    above_doubt: i32,
}

impl Line {
    /// With as many bits behind the point as there is room for; `None` where there is no room.
    fn new(op: &AffineBinary) -> Option<Self> {
        let sign = match op.kind {
            AffineBinaryKind::Add => 1,
            AffineBinaryKind::Sub => -1,
            AffineBinaryKind::Mul => return None,
        };
        (1..=24).rev().find_map(|point| Self::with_point(op, sign, point))
    }

    fn with_point(op: &AffineBinary, sign: i64, point: u32) -> Option<Self> {
        let [a_reach, b_reach] = [&op.a, &op.b].map(|operand| {
            let zero = i64::from(operand.zero);
            zero.abs().max((255 - zero).abs())
        });
        let (a, b) = (slope(&op.a, &op.output, point)?, sign * slope(&op.b, &op.output, point)?);
        let roundings = 3 << point.saturating_sub(op.output.shift.unsigned_abs().into());
        let doubt = (((a_reach + b_reach) / 2 + 1 + roundings) as u64).next_power_of_two() as i64;
        let zero = i64::from(op.output.zero) << point;
        let reach = a_reach * a.abs() + b_reach * b.abs() + zero.abs() + (1 << point) + doubt;
        if a_reach + b_reach > GREATEST_REACH || reach > i32::MAX.into() {
            return None;
        }
        let start = zero - a * i64::from(op.a.zero) - b * i64::from(op.b.zero) + (1 << (point - 1)) + doubt;
        Some(Self {
            a: i32::try_from(a).ok()?,
            b: i32::try_from(b).ok()?,
            // Sums of codes that stay in range pass through values that may not.
            start: start as i32,
            point,
            above_doubt: i32::try_from((1_i64 << point) - 2 * doubt).ok()?.max(0),
        })
    }
}

/// What one step of an operand's code adds to the code of the sum, with `point` bits behind the point.
fn slope(operand: &AffineOperand, output: &AffineOperand, point: u32) -> Option<i64> {
    let right = |operand: &AffineOperand| u32::try_from(i32::from(operand.shift).checked_neg()?).ok();
    let below = 2 * 31 - HEADROOM + right(operand)? + right(output)?;
    let product = i128::from(operand.multiplier) * i128::from(output.multiplier);
    i64::try_from(((product << point) + (1 << (below - 1))) >> below).ok()
}

impl Line {
    #[inline(always)]
    fn sum(self, x: u8, y: u8) -> i32 {
        let (x, y) = (i32::from(x).wrapping_mul(self.a), i32::from(y).wrapping_mul(self.b));
        x.wrapping_add(y).wrapping_add(self.start)
    }

    #[inline(always)]
    const fn is_in_doubt(self, sum: i32) -> bool {
        sum & self.above_doubt == 0
    }

    /// The codes of sums; by the exact form where one is in doubt.
    #[inline(always)]
    fn combine(self, combination: &Combination, a: &[u8; CODES], b: &[u8; CODES]) -> [u8; CODES] {
        let Combination { op, flips, .. } = combination;
        let (min, max) = (i32::from(op.activation.min), i32::from(op.activation.max));
        let (mut codes, mut in_doubt) = ([0; CODES], false);
        for lane in 0..CODES {
            let sum = self.sum(a[lane] ^ flips[0], b[lane] ^ flips[1]);
            in_doubt |= self.is_in_doubt(sum);
            codes[lane] = (sum >> (self.point & 31)).min(max).max(min).to_le_bytes()[0];
        }
        if in_doubt { combination.each(a, b) } else { codes }
    }
}

impl Combination {
    /// Of operands of two elements of 8 bits. Spec 4.20.
    pub(super) fn new(op: &AffineBinary, elements: [Element; 2]) -> Self {
        let flips = elements.map(|element| if element == Element::I8 { 0x80 } else { 0 });
        let mut op = *op;
        op.a.zero = op.a.zero.saturating_add(flips[0].into());
        op.b.zero = op.b.zero.saturating_add(flips[1].into());
        Self { line: Line::new(&op), op, flips }
    }

    /// The code of two codes, as the portable kernel has it.
    #[inline(always)]
    fn exact(&self, x: u8, y: u8) -> u8 {
        let [x, y] = [x ^ self.flips[0], y ^ self.flips[1]].map(i32::from);
        affine_code(&self.op, x, y).to_le_bytes()[0]
    }

    /// Each code by the exact form.
    #[cold]
    #[inline(never)]
    fn each(&self, a: &[u8; CODES], b: &[u8; CODES]) -> [u8; CODES] {
        let mut codes = [0; CODES];
        for ((code, x), y) in codes.iter_mut().zip(a).zip(b) {
            *code = self.exact(*x, *y);
        }
        codes
    }
}

/// A run of a layer.
pub(super) struct Run<'a> {
    pub(super) combination: &'a Combination,
    /// Where the operands and the result begin in the arena, each `[H, W, C]` codes of 8 bits: one place, or places apart.
    pub(super) places: [usize; 3],
    /// Codes of each.
    pub(super) len: usize,
    pub(super) arena: &'a mut [u8],
}

impl Work for Run<'_> {
    #[inline(always)]
    fn run<V: Vectors<L>, const L: usize>(mut self, _: V) {
        let whole = self.len - self.len % CODES;
        match self.combination.line {
            Some(line) => {
                for start in (0..whole).step_by(CODES) {
                    self.chunk(start, |combination, a, b| line.combine(combination, a, b));
                }
            }
            None => {
                for start in (0..whole).step_by(CODES) {
                    self.chunk(start, Combination::each);
                }
            }
        }
        self.rest(whole);
    }
}

impl Run<'_> {
    /// Codes from one on.
    #[inline(always)]
    fn chunk(&mut self, start: usize, f: impl Fn(&Combination, &[u8; CODES], &[u8; CODES]) -> [u8; CODES]) {
        let [a, b, output] = self.places;
        let codes = |place: usize| self.arena.get(place + start..).and_then(|bytes| bytes.first_chunk());
        let (Some(a), Some(b)) = (codes(a), codes(b)) else { return };
        let codes = f(self.combination, a, b);
        if let Some(target) = self.arena.get_mut(output + start..).and_then(|bytes| bytes.first_chunk_mut()) {
            *target = codes;
        }
    }

    /// The last codes, one by one.
    fn rest(&mut self, whole: usize) {
        let [a, b, output] = self.places;
        for index in whole..self.len {
            let code = |place: usize| self.arena.get(place + index).copied().unwrap_or(0);
            let code = self.combination.exact(code(a), code(b));
            if let Some(target) = self.arena.get_mut(output + index) {
                *target = code;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::format::Activation;

    /// Parameters as an exporter makes them, and such as no exporter would.
    fn layers() -> impl Iterator<Item = AffineBinary> {
        let mut state = 1_u32;
        let mut next = move || {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 8) as i32
        };
        (0..150).map(move |index| {
            let multipliers = [1 << 30, i32::MAX, 0, (1 << 30) + next() * 64];
            let mut operand = |shift: i32| AffineOperand {
                zero: (next() % 256 - 128) as i16,
                multiplier: multipliers[if index < 60 { 3 } else { (next() % 4) as usize }],
                shift: -shift as i8,
            };
            let (a, b, output) = (operand(index % 3), operand(index / 3 % 4), operand(17 + index % 5));
            let output = if index % 10 == 9 { AffineOperand { shift: -(index as i8 % 32), ..output } } else { output };
            let kind = if index % 2 == 0 { AffineBinaryKind::Add } else { AffineBinaryKind::Sub };
            AffineBinary {
                kind,
                a,
                b,
                output,
                activation: Activation { min: -128, max: 127 },
                ..AffineBinary::default()
            }
        })
    }

    #[test]
    fn every_two_codes_give_the_code_of_the_exact_form() {
        let (mut sums, mut short) = (0, 0);
        for op in layers() {
            let combination = Combination::new(&op, [Element::I8; 2]);
            let Some(line) = combination.line else { continue };
            for x in 0..=255 {
                for first in (0..=255).step_by(CODES) {
                    let (a, b) = ([x; CODES], core::array::from_fn(|lane| first + lane as u8));
                    let exact = combination.each(&a, &b);
                    // Without the exact form, where it is not asked for.
                    let doubt = (0..CODES).any(|lane| line.is_in_doubt(line.sum(x ^ 0x80, b[lane] ^ 0x80)));
                    assert_eq!(line.combine(&combination, &a, &b), exact, "{x} and {first} on by {op:?}");
                    (sums, short) = (sums + 1, short + i32::from(!doubt));
                }
            }
        }
        assert!(sums > 500_000 && short > sums / 2, "{short} of {sums}");
    }
}
