//! The runtime's squared error against 128-bit integers.

use proptest::prelude::*;
use stepshift_runtime::format::Element;
use stepshift_runtime::{Codes, squared_error};
use stepshift_tests::errors;

fn element() -> impl Strategy<Value = Element> {
    prop::sample::select(Element::ALL.to_vec())
}

/// Codes of an element, many of them at its ends, and their bytes.
fn codes(element: Element) -> impl Strategy<Value = Vec<i16>> {
    let (least, greatest) = (element.min(), element.max());
    prop::collection::vec(prop_oneof![Just(least), Just(greatest), Just(0), least..=greatest], 0..40)
}

fn bytes(element: Element, codes: &[i16]) -> Vec<u8> {
    codes.iter().flat_map(|code| code.to_le_bytes().into_iter().take(element.bytes())).collect()
}

/// Exponents near each other, as of a network, and any.
fn exponents() -> impl Strategy<Value = (i8, i8)> {
    let near = (-40_i8..40, -40_i8..40).prop_map(|(x, distance)| (x, x + distance));
    prop_oneof![near, any::<(i8, i8)>()]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn a_squared_error_is_that_of_wide_integers(
        ((x_element, x), (y_element, y)) in
            (element(), element()).prop_flat_map(|(a, b)| ((Just(a), codes(a)), (Just(b), codes(b)))),
        (x_exponent, y_exponent) in exponents(),
    ) {
        let (x_bytes, y_bytes) = (bytes(x_element, &x), bytes(y_element, &y));
        let (input, output) = (Codes::new(x_element, &x_bytes), Codes::new(y_element, &y_bytes));
        let error = squared_error(input, x_exponent, output, y_exponent);
        prop_assert_eq!(error, errors::squared_error(input, x_exponent, output, y_exponent));
        prop_assert_eq!(error, squared_error(output, y_exponent, input, x_exponent));
    }
}
