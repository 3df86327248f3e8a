//! `include_model!` refuses a bad file while the program is compiled, with the reason at the place of the macro.
//!
//! `TRYBUILD=overwrite` writes the expected messages anew.

#[test]
fn a_bad_file_does_not_compile_and_the_reason_is_told() {
    let cases = trybuild::TestCases::new();
    for bad in ["not_a_model", "other_version", "damaged", "empty"] {
        cases.compile_fail(format!("tests/models/{bad}.rs"));
    }
}
