stepshift_runtime::include_model!(mod model = "damaged.stepshift");

fn main() {
    let _ = model::ARENA_BYTES;
}
