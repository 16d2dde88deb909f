//! `quintain-sim`: runs seeds, reproduces failures, measures the simulator's power.
#![cfg_attr(not(target_feature = "crt-static"), forbid(unsafe_code))]

#[cfg(target_feature = "crt-static")]
mod static_libc;

use std::process::ExitCode;

/// A run allocates a few hundred thousand times; nothing that it does depends on where.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    quintain_sim::cli::main()
}
