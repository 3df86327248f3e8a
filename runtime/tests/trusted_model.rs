//! `include_model!`'s `trusted()` is the model that `parse()` gives, as a constant.

use stepshift_runtime::format::{Detail, Links, OperatorKind};
use stepshift_runtime::{Model, Session, include_model};

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

/// Runs a model as it is trusted, by the kernels that its details leave, and as it is checked, by all; the details, and the
/// operators.
macro_rules! compare {
    ($($name:ident = $path:literal)*) => {
        $(include_model!(mod $name = $path);)*

        /// The details and operators of every model, once its two sessions gave the same codes.
        fn compare() -> Vec<(Links, Vec<OperatorKind>)> {
            vec![$({
                let model = Model::parse($name::BYTES).unwrap();
                let (mut arena, mut other) = (vec![0; $name::ARENA_BYTES], vec![0; $name::ARENA_BYTES]);
                let mut checked = Session::new(model, &mut arena).unwrap();
                let mut trusted = Session::new($name::trusted(), &mut other).unwrap();
                by_plain_kernels!(checked, trusted);
                let mut state = 1_u32;
                for _ in 0..3 {
                    let codes: Vec<u8> = codes(&mut state).take(checked.input_mut().into_bytes().len()).collect();
                    checked.input_mut().into_bytes().copy_from_slice(&codes);
                    trusted.input_mut().into_bytes().copy_from_slice(&codes);
                    while let Some(expected) = checked.step() {
                        let (name, index) = (stringify!($name), expected.index);
                        let found = trusted.step().unwrap();
                        assert_eq!(found.name.as_str(), expected.name.as_str(), "{name}, node {index}");
                        assert_eq!(found.codes, expected.codes, "{name}, node {index}, {:?}", expected.kind);
                    }
                    assert!(trusted.step().is_none());
                }
                ($name::LINKS, model.nodes().map(|node| node.op.kind()).collect())
            }),*]
        }
    };
}

/// Keeps the host's own kernels out, which know of no details.
macro_rules! by_plain_kernels {
    ($($session:ident),*) => {
        #[cfg(feature = "std")]
        {
            $($session.restrict_to(stepshift_runtime::kernels::InstructionSet::Portable);)*
        }
    };
}

/// Bytes without a pattern.
fn codes(state: &mut u32) -> impl Iterator<Item = u8> + '_ {
    std::iter::repeat_with(|| {
        *state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (*state >> 24) as u8
    })
}

compare! {
    grouped = "../../tests/fuzz/corpus/load_and_run/03.stepshift"
    affine = "../../tests/fuzz/corpus/load_and_run/04.stepshift"
    sums = "../../tests/fuzz/corpus/load_and_run/06.stepshift"
    depthwise = "../../tests/fuzz/corpus/load_and_run/08.stepshift"
    transposed = "../../tests/fuzz/corpus/load_and_run/13.stepshift"
    distinct = "../../tests/fuzz/corpus/load_and_run/22.stepshift"
    patches = "../../tests/fuzz/corpus/load_and_run/25.stepshift"
    softmax = "../../tests/fuzz/corpus/load_and_run/26.stepshift"
    connected = "../../tests/fuzz/corpus/load_and_run/27.stepshift"
    quarter = "../../tests/fuzz/corpus/load_and_run/24.stepshift"
    tiled = "../../tests/fuzz/corpus/load_and_run/28.stepshift"
    joined = "../../tests/fuzz/corpus/load_and_run/29.stepshift"
    uneven = "../../tests/fuzz/corpus/load_and_run/30.stepshift"
}

#[test]
fn kernels_that_know_the_model_give_the_codes_of_those_that_have_every_case() {
    let models = compare();
    for detail in Detail::ALL {
        let with = models.iter().filter(|(links, _)| detail.is_in(*links)).count();
        assert!(0 < with && with < models.len(), "{detail:?}: {with} of {}", models.len());
    }
    // A model of one node of each operator is compiled node by node, unless it runs patch by patch.
    let are_distinct = |kinds: &[OperatorKind]| (1..kinds.len()).all(|index| !kinds[..index].contains(&kinds[index]));
    for (in_patches, distinct) in [(false, false), (false, true), (true, true)] {
        let alike = |kinds: &[OperatorKind]| {
            kinds.len() > 2
                && kinds.contains(&OperatorKind::PatchInput) == in_patches
                && are_distinct(kinds) == distinct
        };
        assert!(models.iter().any(|(_, kinds)| alike(kinds)), "patches {in_patches}, distinct {distinct}");
    }
}

#[test]
fn a_trusted_model_takes_no_place_in_a_session() {
    let (mut arena, mut other) = ([0; small::ARENA_BYTES], [0; small::ARENA_BYTES]);
    let model = small::parse().unwrap();
    let checked = Session::new(model, &mut arena).unwrap();
    let trusted = Session::new(small::trusted(), &mut other).unwrap();
    assert_eq!(size_of_val(&checked), size_of_val(&trusted) + size_of_val(&model));
}
