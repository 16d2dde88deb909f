//! `quintain-sim`: runs seeds, reproduces failures, measures the simulator's power.
#![deny(unsafe_code)]

#[cfg(all(target_feature = "crt-static", target_env = "gnu"))]
#[expect(unsafe_code, reason = "functions of the C library")]
mod static_libc;

use std::process::ExitCode;

/// A run allocates a few hundred thousand times; nothing that it does depends on where.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    quintain_sim::cli::main()
}
