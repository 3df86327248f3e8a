//! The normative kernels: every other backend gives the same integers.

mod affine_binary;
mod affine_mean;
mod affine_softmax;
mod argmax;
mod average_pool2d;
mod binary;
mod clip;
mod concat;
mod conv2d;
mod depthwise_conv2d;
mod dispatch;
mod fully_connected;
mod leaky_relu;
mod max_pool2d;
mod mean;
mod pad;
mod padding;
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

pub(super) use padding::{Filter, padding};

use super::{Code, WeightCodes};

/// `sum(x * w)` over the codes `x` and the weights from index `start` on. Spec 2.1.
#[inline]
fn dot<X: Code>(x: &[X], w: impl WeightCodes, start: usize) -> i32 {
    x.iter().zip(w.run(start)).map(|(x, w)| x.get() * w).sum()
}
