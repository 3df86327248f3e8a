//! Faster loops over codes of 8 bits, in plain Rust, for every core. Each returns false, and has written nothing, where it
//! does not have the case: the portable kernels have them all.

mod binary;
mod max_pool2d;
mod mean;

pub use binary::binary;
pub use max_pool2d::max_pool2d;
pub use mean::mean;

use crate::format::Element;

/// What makes of a code's byte a number that is not negative and rises with the code: code - least code of the element.
/// `None` for codes of other widths.
const fn flip(element: Element) -> Option<u8> {
    match element {
        Element::I8 => Some(0x80),
        Element::U8 => Some(0),
        Element::I16 => None,
    }
}
