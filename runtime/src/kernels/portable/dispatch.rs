//! From elements that a model names to kernels that are compiled for them, of those that the program links.

/// `$call` with the input as [`Typed`](crate::kernels::Typed) of its element.
macro_rules! by_element {
    ($links:ident, $input:expr, |$x:ident| $call:expr) => {
        match $input.element() {
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

pub(super) use by_element;
