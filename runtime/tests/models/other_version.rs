stepshift_runtime::include_model!(mod model = "../../../tests/fixtures/version-3.stepshift");

fn main() {
    let _ = model::ARENA_BYTES;
}
