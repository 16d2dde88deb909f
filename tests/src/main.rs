//! The daemon under test: `quintain`, built by this package so that its tests find it.

use std::process::ExitCode;

use clap::Parser;
use quintain::cli::{Cli, Command};

fn main() -> ExitCode {
    match Cli::parse().command {
        Command::Serve(arguments) => quintain::serve::run(arguments),
    }
}
