//! Places the linker scripts, and makes each peer's source of the model that STEPSHIFT_PEERS_MODEL names: the path of a
//! file of `models.py`, without its ending. STEPSHIFT_MODEL is the same as `stepshift export` writes it.

#[path = "build/embedded_nn.rs"]
mod embedded_nn;
#[path = "build/microflow.rs"]
mod microflow;

use std::env;
use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;

fn main() {
    let out = PathBuf::from(env::var_os("OUT_DIR").expect("cargo sets OUT_DIR"));
    place_linker_scripts(&out);
    let path = variable("STEPSHIFT_PEERS_MODEL");
    let json = format!("{path}.json");
    println!("cargo:rerun-if-changed={json}");
    let text = fs::read_to_string(&json).unwrap_or_else(|error| panic!("cannot read {json}: {error}"));
    let model: Value = serde_json::from_str(&text).unwrap_or_else(|error| panic!("{json}: {error}"));
    let write = |name: &str, source: &str| fs::write(out.join(name), source).expect("a source is written");
    write("shape.rs", &shape(&model));
    if env::var_os("CARGO_FEATURE_STEPSHIFT").is_some() {
        write(
            "stepshift.rs",
            &format!("stepshift_runtime::include_model!(mod model = {:?});", variable("STEPSHIFT_MODEL")),
        );
    }
    if env::var_os("CARGO_FEATURE_MICROFLOW").is_some() {
        println!("cargo:rerun-if-changed={path}.tflite");
        write("microflow.rs", &microflow::source(&model, &format!("{path}.tflite")));
    }
    if env::var_os("CARGO_FEATURE_EMBEDDED_NN").is_some() {
        write("embedded_nn.rs", &embedded_nn::source(&model));
    }
}

/// Those of the Cortex-M4 that QEMU has.
fn place_linker_scripts(out: &Path) {
    let boards = Path::new("../../../boards");
    for (script, name) in [("qemu-m4/memory.x", "memory.x"), ("common/layout.x", "layout.x")] {
        let script = boards.join(script);
        fs::copy(&script, out.join(name)).expect("a linker script is copied");
        println!("cargo:rerun-if-changed={}", script.display());
    }
    println!("cargo:rustc-link-search={}", out.display());
}

fn variable(name: &str) -> String {
    println!("cargo:rerun-if-env-changed={name}");
    env::var(name).unwrap_or_else(|_| panic!("{name} is not set: `cargo xtask peers` builds this"))
}

fn shape(model: &Value) -> String {
    let [input, output] = [input(model), output(model)].map(len);
    format!(
        "/// Codes of the input.\npub const INPUT_LEN: usize = {input};\n\
         /// Codes of the output.\npub const OUTPUT_LEN: usize = {output};\n"
    )
}

/// The tensor that the model reads.
fn input(model: &Value) -> &Value {
    &model["input"]
}

/// The tensor that the model writes.
fn output(model: &Value) -> &Value {
    &layers(model).last().expect("a model has layers")["output"]
}

fn layers(model: &Value) -> &[Value] {
    model["layers"].as_array().expect("a model has layers")
}

/// Rows, columns, channels.
fn shape_of(tensor: &Value) -> [u64; 3] {
    let extent = |axis: usize| tensor["shape"][axis].as_u64().expect("a shape has three numbers");
    [extent(0), extent(1), extent(2)]
}

fn len(tensor: &Value) -> u64 {
    shape_of(tensor).iter().product()
}
