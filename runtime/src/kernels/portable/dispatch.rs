//! From elements and widths that a model names to kernels that are compiled for them, of those that the program links.

/// `$call` with the input as [`Typed`](crate::kernels::Typed) of its element.
macro_rules! by_element {
    ($links:ident, $input:expr, |$x:ident| $call:expr) => {
        match $input.codes.element() {
            Element::I8 if Element::I8.is_in($links) => {
                let $x = $input.typed::<i8>();
                $call
            }
            Element::U8 if Element::U8.is_in($links) => {
                let $x = $input.typed::<u8>();
                $call
            }
            Element::I16 if Element::I16.is_in($links) => {
                let $x = $input.typed::<[u8; 2]>();
                $call
            }
            // `Model::parse_linked` has refused the model.
            _ => {}
        }
    };
}

/// `$call` with the weights as [`WeightCodes`](crate::kernels::WeightCodes) of their width.
macro_rules! by_width {
    ($links:ident, $weights:expr, |$w:ident| $call:expr) => {
        match $weights.bits {
            WeightBits::Two if WeightBits::Two.is_in($links) => {
                let $w = Packed::<2>($weights.codes);
                $call
            }
            WeightBits::Four if WeightBits::Four.is_in($links) => {
                let $w = Packed::<4>($weights.codes);
                $call
            }
            WeightBits::Eight if WeightBits::Eight.is_in($links) => {
                let $w = Bytes(bytemuck::must_cast_slice($weights.codes));
                $call
            }
            WeightBits::Sixteen if WeightBits::Sixteen.is_in($links) => {
                let $w = Words($weights.codes);
                $call
            }
            // `Model::parse_linked` has refused the model.
            _ => {}
        }
    };
}

pub(super) use {by_element, by_width};
