stepshift_runtime::include_model!(mod model = "empty.stepshift");

fn main() {
    let _ = model::ARENA_BYTES;
}
