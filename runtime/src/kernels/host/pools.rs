//! Pools and means: channels side by side.

use super::elementwise::put;
use super::vectors::{Vectors, Work};
use crate::arithmetic::{mean, saturate};
use crate::codes::Codes;
use crate::format::{ALL_LINKS, Activation, AveragePool2d, Element, Mean, Shape, Window};
use crate::kernels::window::Span;
use crate::kernels::{Code, ViewMut, portable};

/// What is made of the codes under a window.
#[derive(Debug, Clone, Copy)]
pub(super) enum Pool<'a> {
    /// Spec 4.4.
    Max(Activation),
    /// Of steps that are powers of two. Spec 4.5.
    Average(&'a AveragePool2d<'a>),
    /// Of the affine scheme, and codes of 8 bits. Spec 4.5.
    AffineAverage(Activation),
    /// Over rows and columns. Spec 4.5.
    Mean(&'a Mean),
}

/// A run of a layer.
pub(super) struct Run<'a> {
    pub(super) pool: Pool<'a>,
    pub(super) window: Window,
    /// `[H, W, C]`, and a vector's worth behind.
    pub(super) codes: Codes<'a>,
    pub(super) shape: Shape,
    pub(super) output: ViewMut<'a>,
}

impl Work for Run<'_> {
    #[inline(always)]
    fn run<V: Vectors<L>, const L: usize>(self, _: V) {
        match self.codes.element() {
            Element::I8 => self.typed::<i8, L>(),
            Element::U8 => self.typed::<u8, L>(),
            Element::I16 => self.typed::<[u8; 2], L>(),
        }
    }
}

impl Run<'_> {
    #[inline(always)]
    fn typed<X: Code, const L: usize>(self) {
        let codes = X::cast(self.codes.bytes());
        let channels = usize::from(self.shape.c).max(1);
        let row_len = usize::from(self.shape.w) * channels;
        let element_bytes = self.output.element.bytes();
        let w = usize::from(self.output.shape.w).max(1);
        let activation = self.pool.activation();
        let is_max = matches!(self.pool, Pool::Max(_));
        for (index, pixel) in self.output.bytes.chunks_exact_mut(channels * element_bytes).enumerate() {
            let rows = Span::rows::<ALL_LINKS>(&self.window, self.shape, index / w);
            let columns = Span::columns::<ALL_LINKS>(&self.window, self.shape, index % w);
            let end = End::new(&self.pool, rows.len * columns.len);
            for channel in (0..channels).step_by(L) {
                let mut sums = [if is_max { i32::MIN } else { 0 }; L];
                for row in rows.input..rows.input + rows.len {
                    let mut place = row * row_len + columns.input * channels + channel;
                    for _ in 0..columns.len {
                        let codes = codes.get(place..).and_then(|codes| codes.first_chunk::<L>());
                        for (sum, code) in sums.iter_mut().zip(codes.into_iter().flatten()) {
                            *sum = if is_max { code.get().max(*sum) } else { *sum + code.get() };
                        }
                        place += channels;
                    }
                }
                end.write(
                    sums,
                    activation,
                    element_bytes,
                    pixel.get_mut(channel * element_bytes..).unwrap_or_default(),
                );
            }
        }
    }
}

/// What brings sums, or the greatest codes, to codes.
#[derive(Debug, Clone, Copy)]
enum End {
    Max,
    Mean { multiplier: i32, right_shift: i8 },
    Divide { count: u32, reciprocal: u32 },
    DivideMany { count: usize },
}

impl End {
    /// Of a window that covers `count` codes.
    fn new(pool: &Pool<'_>, count: usize) -> Self {
        match pool {
            Pool::Max(_) => Self::Max,
            Pool::Average(op) => {
                Self::Mean { multiplier: op.multiplier(count).unwrap_or(0), right_shift: op.right_shift }
            }
            Pool::Mean(op) => Self::Mean { multiplier: op.multiplier, right_shift: op.right_shift },
            Pool::AffineAverage(_) if count > GREATEST_COUNT => Self::DivideMany { count },
            Pool::AffineAverage(_) => {
                let count = (count as u32).max(1);
                Self::Divide { count, reciprocal: (1_u32 << 31).div_ceil(count) }
            }
        }
    }

    /// Writes the codes of some channels, as many as there are.
    #[inline(always)]
    fn write<const L: usize>(
        self,
        mut sums: [i32; L],
        activation: Activation,
        element_bytes: usize,
        target: &mut [u8],
    ) {
        match self {
            Self::Max => {
                for sum in &mut sums {
                    *sum = saturate(*sum, activation);
                }
                put(sums, element_bytes, target);
            }
            Self::Mean { multiplier, right_shift } => {
                for sum in &mut sums {
                    *sum = mean(*sum, multiplier, right_shift, activation);
                }
                put(sums, element_bytes, target);
            }
            Self::Divide { count, reciprocal } => {
                for sum in &mut sums {
                    *sum = saturate(divide(*sum, count, reciprocal), activation);
                }
                put(sums, element_bytes, target);
            }
            Self::DivideMany { count } => {
                for sum in &mut sums {
                    *sum = saturate(portable::divide(*sum, count), activation);
                }
                put(sums, element_bytes, target);
            }
        }
    }
}

impl Pool<'_> {
    /// Bounds of the output codes.
    const fn activation(&self) -> Activation {
        match self {
            Self::Max(activation) | Self::AffineAverage(activation) => *activation,
            Self::Average(op) => op.activation,
            Self::Mean(op) => op.activation,
        }
    }
}

/// Greatest number of codes whose mean [`divide`] gives.
const GREATEST_COUNT: usize = 2896;

/// `sum / count`, half away from zero, of `count` codes of 8 bits.
///
/// reciprocal  `ceil(2^31 / count)`: less than `count / 2^31` too much for `2^31 / count`, so that a quotient comes out less
///             than `255.5 * count^2 / 2^31 / count <= 1 / count` too large, by which none gets to the next whole number
#[inline(always)]
fn divide(sum: i32, count: u32, reciprocal: u32) -> i32 {
    let rounded = sum.unsigned_abs() + count / 2;
    let quotient = ((u64::from(rounded) * u64::from(reciprocal)) >> 31) as i32;
    if sum < 0 { -quotient } else { quotient }
}

#[cfg(test)]
mod tests {
    use super::{GREATEST_COUNT, divide};
    use crate::kernels::portable;

    #[test]
    fn a_quotient_is_that_of_the_portable_kernel() {
        for count in 1..=GREATEST_COUNT as i32 {
            let reciprocal = (1_u32 << 31).div_ceil(count as u32);
            let ties = (-128..=255).map(|code| code * count + count / 2);
            let ends = [-128 * count, 0, 255 * count];
            let near = ties.chain(ends).flat_map(|sum| sum - 1..=sum + 1);
            for sum in near.filter(|sum| (-128 * count..=255 * count).contains(sum)) {
                let expected = portable::divide(sum, count as usize);
                assert_eq!(divide(sum, count as u32, reciprocal), expected, "{sum} by {count}");
            }
        }
    }
}
