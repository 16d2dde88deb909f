//! Turns on cfg(simulation) for this compilation of core's sources.
fn main() {
    println!("cargo::rustc-cfg=simulation");
    println!("cargo::rerun-if-changed=build.rs");
}
