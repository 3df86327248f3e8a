//! The normative kernels: every other backend gives the same integers.

mod add;
mod clip;
mod conv2d;
mod depthwise_conv2d;
mod fully_connected;
mod global_average_pool;
mod max_pool2d;
mod window;

pub use add::add;
pub use clip::clip;
pub use conv2d::conv2d;
pub use depthwise_conv2d::depthwise_conv2d;
pub use fully_connected::fully_connected;
pub use global_average_pool::global_average_pool;
pub use max_pool2d::max_pool2d;

/// `sum(x * w)` over the shorter of both. Spec 2.1.
#[inline]
fn dot(x: &[i8], w: &[i8]) -> i32 {
    x.iter().zip(w).map(|(x, w)| i32::from(*x) * i32::from(*w)).sum()
}
