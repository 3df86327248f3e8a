//! Files of every format version that was written: today's code writes and reads the same bytes.
//!
//! `STEPSHIFT_OVERWRITE=1 cargo test -p stepshift-tests --test frozen_files` writes them anew, which
//! is right only together with a new format version.

use std::fs;
use std::path::Path;

use stepshift_runtime::format::FORMAT_VERSION;
use stepshift_runtime::{LoadError, Model, Session};
use stepshift_tests::{fixtures, reference};
use stepshift_trainer::export::encode;

#[test]
fn the_small_network_is_written_as_ever() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../runtime/testdata/small.stepshift");
    let written = encode(&fixtures::small_network()).unwrap();
    if std::env::var_os("STEPSHIFT_OVERWRITE").is_some() {
        fs::write(&path, &written).unwrap();
    }
    assert_eq!(fs::read(&path).unwrap(), written, "{} differs from what is written today", path.display());
}

#[test]
fn the_frozen_file_gives_the_codes_of_the_reference() {
    let bytes = include_bytes!("../../runtime/testdata/small.stepshift");
    let model = Model::parse(bytes).unwrap();
    let mut arena = vec![0; model.arena_bytes()];
    let mut session = Session::new(model, &mut arena).unwrap();
    session.input_mut().fill(3);
    session.run();
    let expected = reference::evaluate(&fixtures::small_network(), &[3; 32]);
    assert_eq!(session.output().iter().collect::<Vec<_>>(), *expected.last().unwrap());
}

#[test]
fn files_of_earlier_versions_are_refused_by_version() {
    let files: [&[u8]; 4] = [
        include_bytes!("../fixtures/version-1.stepshift"),
        include_bytes!("../fixtures/version-2.stepshift"),
        include_bytes!("../fixtures/version-3.stepshift"),
        include_bytes!("../fixtures/version-4.stepshift"),
    ];
    for (version, bytes) in (1..).zip(files) {
        let error = Model::parse(bytes).unwrap_err();
        assert_eq!(error, LoadError::Version { found: version, supported: FORMAT_VERSION });
    }
}
