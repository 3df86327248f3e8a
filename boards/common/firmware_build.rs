//! The build script of every board: places the linker scripts, the model that `infer` embeds, and sizes of buffers.

use std::env;
use std::fs;
use std::path::PathBuf;

use stepshift_runtime::Model;

/// Bytes of each buffer of the firmware where the environment names no number.
const DEFAULT_BUFFER_BYTES: &str = "4096";

/// Embedded where no model is named: the runtime's own test file.
const DEFAULT_MODEL: &str = "../../runtime/testdata/small.stepshift";

fn main() {
    let out = PathBuf::from(env::var_os("OUT_DIR").expect("cargo sets OUT_DIR"));
    for (script, name) in [("memory.x", "memory.x"), ("../common/layout.x", "layout.x")] {
        fs::copy(script, out.join(name)).expect("a linker script is copied");
        println!("cargo:rerun-if-changed={script}");
    }
    println!("cargo:rustc-link-search={}", out.display());
    // Where defmt's strings lie; a program that does not log would miss a logger.
    println!("cargo:rustc-link-arg-bin=device=-Tdefmt.x");
    println!("cargo:rerun-if-env-changed=STEPSHIFT_MODEL");
    let path = env::var("STEPSHIFT_MODEL").unwrap_or_else(|_| DEFAULT_MODEL.to_owned());
    println!("cargo:rerun-if-changed={path}");
    let bytes = fs::read(&path).unwrap_or_else(|error| panic!("STEPSHIFT_MODEL: cannot read {path}: {error}"));
    let model = Model::parse(&bytes).unwrap_or_else(|error| panic!("STEPSHIFT_MODEL: {path}: {error}"));
    fs::write(out.join("model.stepshift"), &bytes).expect("the model is copied");
    let source = format!(
        "/// The model's file, aligned as its packed weights are.\n#[repr(align(16))]\nstruct File([u8; {}]);\n\
         #[unsafe(link_section = \".stepshift_model\")]\n\
         static MODEL: File = File(*include_bytes!(concat!(env!(\"OUT_DIR\"), \"/model.stepshift\")));\n\
         /// Bytes of arena that it needs.\nconst ARENA_BYTES: usize = {};\n\
         /// The operators that it uses, which are all that is linked.\nconst USES: stepshift_runtime::format::Links = {:#x};\n\
         /// These, and what decodes the nodes.\n#[allow(dead_code)]\n\
         const LINKS: stepshift_runtime::format::Links = USES | stepshift_runtime::format::ENCODED_LINKS;\n\
         /// Its number of nodes.\nconst NODES: usize = {};\n\
         /// Hands out the model, which the build has parsed.\n#[allow(dead_code)]\n#[derive(Clone, Copy)]\nstruct Trusted;\n\
         stepshift_runtime::hand_out_decoded!(\n    #[unsafe(link_section = \".stepshift_model\")]\n    Trusted, USES, &MODEL.0\n);\n",
        bytes.len(),
        model.arena_bytes(),
        stepshift_runtime::embed::links(&bytes),
        model.node_count()
    );
    fs::write(out.join("model.rs"), source).expect("the model's sizes are written");
    println!("cargo:rerun-if-env-changed=STEPSHIFT_BUFFER_BYTES");
    let bytes = env::var("STEPSHIFT_BUFFER_BYTES").unwrap_or_else(|_| DEFAULT_BUFFER_BYTES.to_owned());
    let bytes: usize = bytes.parse().unwrap_or_else(|_| panic!("STEPSHIFT_BUFFER_BYTES: {bytes} is no number"));
    let source = format!("/// Bytes of each buffer.\nconst BUFFER_BYTES: usize = {bytes};\n");
    fs::write(out.join("buffers.rs"), source).expect("the buffers' size is written");
}
