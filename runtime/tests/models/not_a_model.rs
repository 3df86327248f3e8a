stepshift_runtime::include_model!(mod model = "../../Cargo.toml");

fn main() {
    let _ = model::ARENA_BYTES;
}
