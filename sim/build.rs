//! Tells the simulator which compiler built it, for its banner.

use std::process::Command;

fn main() {
    let compiler = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let output = Command::new(compiler).arg("-V").output().expect("cargo says which compiler there is");
    // "rustc 1.95.0 (59807616e 2026-04-14)"; Debian and others add words.
    let told = String::from_utf8_lossy(&output.stdout).into_owned();
    let version = told.split(" (").next().unwrap_or_default().trim();
    println!("cargo::rustc-env=QUINTAIN_COMPILER={version}");
    println!("cargo::rerun-if-changed=build.rs");
}
