//! `include_model!`'s `trusted()` is the model that `parse()` gives, as a constant.

use stepshift_runtime::{Session, include_model};

include_model!(mod small = "../testdata/small.stepshift");

#[test]
fn a_session_of_a_trusted_model_gives_the_codes_of_a_checked_one() {
    let (mut arena, mut other) = ([0; small::ARENA_BYTES], [0; small::ARENA_BYTES]);
    let mut checked = Session::new(small::parse().unwrap(), &mut arena).unwrap();
    let mut trusted = Session::new(small::trusted(), &mut other).unwrap();
    assert_eq!(trusted.self_test(), checked.self_test());
    let mut codes = 0_u8..;
    for (a, b) in checked.input_mut().into_bytes().iter_mut().zip(trusted.input_mut().into_bytes()) {
        *a = codes.next().unwrap();
        *b = *a;
    }
    let mut nodes = 0;
    while let Some(expected) = checked.step() {
        let found = trusted.step().unwrap();
        assert_eq!((found.index, found.name.as_str(), found.tensor), (nodes, expected.name.as_str(), expected.tensor));
        assert_eq!(found.codes.bytes(), expected.codes.bytes());
        nodes += 1;
    }
    assert!(trusted.step().is_none());
    assert_eq!(nodes, small::trusted().node_count());
}

#[test]
fn a_trusted_model_takes_no_place_in_a_session() {
    let (mut arena, mut other) = ([0; small::ARENA_BYTES], [0; small::ARENA_BYTES]);
    let model = small::parse().unwrap();
    let checked = Session::new(model, &mut arena).unwrap();
    let trusted = Session::new(small::trusted(), &mut other).unwrap();
    assert_eq!(size_of_val(&checked), size_of_val(&trusted) + size_of_val(&model));
}
