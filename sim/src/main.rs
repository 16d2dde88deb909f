//! `quintain-sim`: runs seeds, reproduces failures, measures the simulator's power.
#![forbid(unsafe_code)]

use std::process::ExitCode;

fn main() -> ExitCode {
    quintain_sim::cli::main()
}
