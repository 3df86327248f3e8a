//! The normative kernels: every other backend gives the same integers.

mod average_pool2d;
mod binary;
mod clip;
mod concat;
mod conv2d;
mod depthwise_conv2d;
mod fully_connected;
mod global_average_pool;
mod leaky_relu;
mod max_pool2d;
mod pad;
mod regions;
mod rescale;
mod slice;
mod softmax;
mod table;
mod transpose;
mod transpose_conv2d;
mod upsample;
mod window;

pub use average_pool2d::average_pool2d;
pub use binary::binary;
pub use clip::clip;
pub use concat::concat_part;
pub use conv2d::conv2d;
pub use depthwise_conv2d::depthwise_conv2d;
pub use fully_connected::fully_connected;
pub use global_average_pool::global_average_pool;
pub use leaky_relu::leaky_relu;
pub use max_pool2d::max_pool2d;
pub use pad::pad;
pub use rescale::rescale;
pub use slice::slice;
pub use softmax::softmax;
pub use table::table;
pub use transpose::transpose;
pub use transpose_conv2d::transpose_conv2d;
pub use upsample::{upsample_bilinear, upsample_nearest};

/// `sum(x * w)` over the shorter of both. Spec 2.1.
#[inline]
fn dot(x: &[i8], w: &[i8]) -> i32 {
    x.iter().zip(w).map(|(x, w)| i32::from(*x) * i32::from(*w)).sum()
}
