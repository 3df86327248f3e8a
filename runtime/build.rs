//! Derives the backend from the target: stable compilers do not tell a crate that a core has the DSP extension.

/// Names the backend where the target alone does not: a Cortex-M33 or M55 is `thumbv8m.main` like one without extensions.
const OVERRIDE: &str = "STEPSHIFT_BACKEND";

/// Every backend whose instructions a core may have.
const BACKENDS: [&str; 3] = ["portable", "dsp", "v6m"];

fn main() {
    println!("cargo:rerun-if-env-changed={OVERRIDE}");
    println!("cargo:rustc-check-cfg=cfg(stepshift_backend, values({}))", BACKENDS.map(|b| format!("{b:?}")).join(", "));
    let target = std::env::var("TARGET").unwrap_or_default();
    let derived = match &*target {
        target if target.starts_with("thumbv7em") => "dsp",
        target if target.starts_with("thumbv6m") || target.starts_with("thumbv8m.base") => "v6m",
        _ => "portable",
    };
    let backend = std::env::var(OVERRIDE).unwrap_or_else(|_| derived.to_owned());
    assert!(BACKENDS.contains(&&*backend), "{OVERRIDE}={backend}: the backends are {}", BACKENDS.join(", "));
    let is_arm = target.starts_with("thumb");
    assert!(is_arm || backend == "portable", "{OVERRIDE}={backend}: {target} has no such instructions");
    println!("cargo:rustc-cfg=stepshift_backend={backend:?}");
}
