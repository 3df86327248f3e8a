//! The normative kernels: every other backend gives the same integers.

mod affine_binary;
mod affine_mean;
mod affine_softmax;
mod argmax;
mod average_pool2d;
mod binary;
mod channels;
mod clip;
mod concat;
mod conv2d;
mod depthwise_conv2d;
mod dispatch;
mod exponentials;
mod fully_connected;
mod leaky_relu;
mod max_pool2d;
mod mean;
mod pad;
mod patch;
mod regions;
mod rescale;
mod slice;
mod softmax;
mod stream;
mod table;
mod transpose;
mod transpose_conv2d;
mod upsample;

#[cfg(not(stepshift_backend = "dsp"))]
pub(crate) use affine_binary::HEADROOM;
pub use affine_binary::affine_binary;
#[cfg(feature = "std")]
pub(crate) use affine_binary::affine_code;
pub use affine_mean::affine_mean;
pub use affine_softmax::affine_softmax;
pub use argmax::argmax;
pub use average_pool2d::average_pool2d;
pub(crate) use average_pool2d::divide;
pub use binary::binary;
pub use clip::clip;
pub use concat::concat_part;
pub use conv2d::conv2d;
pub use depthwise_conv2d::depthwise_conv2d;
pub use exponentials::affine_exponential;
pub use fully_connected::fully_connected;
pub use leaky_relu::leaky_relu;
pub use max_pool2d::max_pool2d;
pub use mean::mean;
pub use pad::pad;
pub use patch::{patch_input, patch_output};
pub use rescale::rescale;
pub use slice::slice;
pub use softmax::softmax;
pub use stream::stream;
pub use table::table;
pub use transpose::transpose;
pub use transpose_conv2d::transpose_conv2d;
pub use upsample::{upsample_bilinear, upsample_nearest};

use super::weight_codes::sum_of_products;
use super::{Code, WeightCodes};
use crate::format::{AFFINE_LINK, Detail, Links};

/// `sum((x - zero) * w)` over the codes `x` and as many weights, modulo 2^32; 0 where there are none. Spec 2.1, 3.4.
#[inline]
fn dot<const LINKS: Links, X: Code>(x: Option<&[X]>, zero: i32, w: impl WeightCodes) -> i32 {
    let Some(x) = x else { return 0 };
    let Some(w) = w.run(x.len()) else { return 0 };
    if Detail::Shift.is_in(LINKS) && zero == 0 {
        return if LINKS & AFFINE_LINK == 0 { sum_of_products(x, w) } else { shared_sum_of_products(x, w) };
    }
    x.iter().zip(w).fold(0, |sum, (x, w)| sum.wrapping_add((x.get() - zero) * w))
}

/// As [`sum_of_products`], beside a loop that subtracts: both in one function take an instruction more a product.
#[inline(never)]
fn shared_sum_of_products<X: Code>(x: &[X], w: impl Iterator<Item = i32>) -> i32 {
    sum_of_products(x, w)
}

/// What accumulators begin with where codes are counted from that of padding on: `bias + zero * sum(w)`, modulo 2^32. Padding
/// then adds nothing. Spec 3.4.
///
/// w  of the output channel, all of them
#[inline]
fn from_zero(bias: i32, zero: i32, w: impl Iterator<Item = i32>) -> i32 {
    if zero == 0 {
        return bias;
    }
    bias.wrapping_add(zero.wrapping_mul(w.fold(0, i32::wrapping_add)))
}
