//! Derives the backend from the target: stable compilers do not tell a crate that a core has the DSP extension.

/// Names the backend where the target alone does not: a Cortex-M33 or M55 is `thumbv8m.main` like one without extensions.
const OVERRIDE: &str = "STEPSHIFT_BACKEND";

/// Every backend whose instructions a core may have.
const BACKENDS: [&str; 4] = ["portable", "dsp", "mve", "v6m"];

fn main() {
    println!("cargo:rerun-if-env-changed={OVERRIDE}");
    println!("cargo:rustc-check-cfg=cfg(stepshift_backend, values({}))", BACKENDS.map(|b| format!("{b:?}")).join(", "));
    let target = std::env::var("TARGET").unwrap_or_default();
    let derived = match &*target {
        target if target.starts_with("thumbv7em") => "dsp",
        target if target.starts_with("thumbv6m") || target.starts_with("thumbv8m.base") => "v6m",
        _ => "portable",
    };
    // Firmware's build scripts use the runtime as well, on the host.
    let chosen = std::env::var(OVERRIDE).ok().filter(|_| target.starts_with("thumb"));
    let backend = chosen.unwrap_or_else(|| derived.to_owned());
    assert!(BACKENDS.contains(&&*backend), "{OVERRIDE}={backend}: the backends are {}", BACKENDS.join(", "));
    println!("cargo:rustc-cfg=stepshift_backend={backend:?}");
    println!("cargo:rustc-check-cfg=cfg(stepshift_armv8m)");
    if target.starts_with("thumbv8m") {
        println!("cargo:rustc-cfg=stepshift_armv8m");
    }
}
