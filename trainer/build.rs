//! Compiles the autograd shim against libtorch and links it. Only the feature `torch` needs it.

#[cfg(feature = "torch")]
fn main() {
    let root = std::env::var_os("LIBTORCH").map(std::path::PathBuf::from);
    println!("cargo:rerun-if-env-changed=LIBTORCH");
    let Some(root) = root.filter(|root| root.join("lib").is_dir()) else {
        println!("cargo:warning=libtorch was not found: run `cargo xtask setup`, or set LIBTORCH to its folder");
        std::process::exit(1);
    };
    // A link that `cargo xtask setup` made is resolved, so that the run path is that of the libraries.
    let root = root.canonicalize().unwrap_or(root);
    println!("cargo:rerun-if-changed=shim");
    let out = std::path::PathBuf::from(std::env::var_os("OUT_DIR").expect("cargo sets it"));
    write_text(&out);
    cc::Build::new()
        .cpp(true)
        .std("c++17")
        .warnings(false)
        // As libtorch itself: its headers have other members without.
        .define("NDEBUG", None)
        .opt_level(3)
        // Loops vectorize, and no product is contracted with a sum.
        .flag("-fno-trapping-math")
        .flag("-ffp-contract=off")
        .file("shim/autograd.cpp")
        .include("shim")
        .include(&out)
        .include(root.join("include"))
        .include(root.join("include/torch/csrc/api/include"))
        .compile("stepshift_shim");
    let libraries = root.join("lib");
    println!("cargo:rustc-link-search=native={}", libraries.display());
    println!("cargo:rustc-link-arg=-Wl,-rpath,{}", libraries.display());
    println!("cargo:rustc-env=STEPSHIFT_LIBTORCH_LIBRARIES={}", libraries.display());
    println!("cargo:rustc-env=STEPSHIFT_LIBTORCH_VERSION={}", version(&root));
    // Read by the build scripts of packages that depend on this one.
    println!("cargo:libraries={}", libraries.display());
}

/// The text that GPUs run, as a constant of C++.
#[cfg(feature = "torch")]
fn write_text(folder: &std::path::Path) {
    let text = std::fs::read_to_string("shim/fake_quantize.cuh").expect("it is beside this file");
    let header = format!("constexpr char kFakeQuantizeText[] = R\"cuda({text})cuda\";\n");
    std::fs::write(folder.join("fake_quantize_text.h"), header).expect("cargo's folder can be written");
}

/// What libtorch's headers say, `2.11.0` for one.
#[cfg(feature = "torch")]
fn version(root: &std::path::Path) -> String {
    let headers = ["include/torch/headeronly/version.h", "include/torch/version.h"];
    let text: String = headers.iter().filter_map(|header| std::fs::read_to_string(root.join(header)).ok()).collect();
    let part = |name: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(&format!("#define TORCH_VERSION_{name} ")));
        line.map_or("0", str::trim).to_owned()
    };
    ["MAJOR", "MINOR", "PATCH"].map(part).join(".")
}

#[cfg(not(feature = "torch"))]
fn main() {}
