//! Tells test programs where libtorch is, as the trainer's build script found it.

fn main() {
    println!("cargo:rerun-if-env-changed=DEP_STEPSHIFT_SHIM_LIBRARIES");
    if let Ok(libraries) = std::env::var("DEP_STEPSHIFT_SHIM_LIBRARIES") {
        println!("cargo:rustc-link-arg-tests=-Wl,-rpath,{libraries}");
    }
}
