//! Places the linker script, and the model that `infer` embeds with the size of its arena.

use std::env;
use std::fs;
use std::path::PathBuf;

use stepshift_runtime::Model;

/// Embedded where no model is named: the runtime's own test file.
const DEFAULT_MODEL: &str = "../../runtime/testdata/small.stepshift";

fn main() {
    let out = PathBuf::from(env::var_os("OUT_DIR").expect("cargo sets OUT_DIR"));
    fs::copy("memory.x", out.join("memory.x")).expect("memory.x is copied");
    println!("cargo:rustc-link-search={}", out.display());
    println!("cargo:rerun-if-changed=memory.x");
    println!("cargo:rerun-if-env-changed=STEPSHIFT_MODEL");
    let path = env::var("STEPSHIFT_MODEL").unwrap_or_else(|_| DEFAULT_MODEL.to_owned());
    println!("cargo:rerun-if-changed={path}");
    let bytes = fs::read(&path).unwrap_or_else(|error| panic!("STEPSHIFT_MODEL: cannot read {path}: {error}"));
    let model = Model::parse(&bytes).unwrap_or_else(|error| panic!("STEPSHIFT_MODEL: {path}: {error}"));
    fs::write(out.join("model.stepshift"), &bytes).expect("the model is copied");
    let source = format!(
        "/// The model's file.\n#[unsafe(link_section = \".stepshift_model\")]\n\
         static MODEL: [u8; {}] = *include_bytes!(concat!(env!(\"OUT_DIR\"), \"/model.stepshift\"));\n\
         /// Bytes of arena that it needs.\nconst ARENA_BYTES: usize = {};\n\
         /// The operators that it uses, which are all that is linked.\nconst OPERATORS: u32 = {:#x};\n\
         /// Its number of nodes.\nconst NODES: usize = {};\n",
        bytes.len(),
        model.arena_bytes(),
        model.operators(),
        model.node_count()
    );
    fs::write(out.join("model.rs"), source).expect("the model's sizes are written");
}
