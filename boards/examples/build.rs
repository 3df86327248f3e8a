//! Links for QEMU's mps2-an386, with its board's linker scripts.

use std::env;
use std::fs;
use std::path::PathBuf;

fn main() {
    let out = PathBuf::from(env::var_os("OUT_DIR").expect("cargo sets OUT_DIR"));
    for (script, name) in [("../qemu-m4/memory.x", "memory.x"), ("../common/layout.x", "layout.x")] {
        fs::copy(script, out.join(name)).expect("a linker script is copied");
        println!("cargo:rerun-if-changed={script}");
    }
    println!("cargo:rustc-link-search={}", out.display());
    println!("cargo:rustc-link-arg-bins=-Tdefmt.x");
}
