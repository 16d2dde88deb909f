//! `timeline`: a run as one page.

use std::path::PathBuf;

use clap::Args;

use super::trace::{RunArgs, record};
use super::{EXIT_OK, EXIT_USAGE};
use crate::timeline::page;

/// Which run goes into which file.
#[derive(Args)]
pub(super) struct TimelineArgs {
    /// A seed (0x1f) or a plan (repro/0x1f.toml).
    what: String,
    /// The page to write.
    #[arg(long)]
    out: PathBuf,
    #[command(flatten)]
    run: RunArgs,
}

/// Writes the page; returns the exit code.
pub(super) fn run(args: &TimelineArgs) -> u8 {
    let path = args.out.display();
    let written = args.run.plan(&args.what).and_then(|plan| {
        let (verdict, entries) = record(&plan);
        let unwritable = |error| format!("{path} cannot be written ({error}); name another file with --out");
        std::fs::write(&args.out, page(&plan, &verdict, &entries)).map_err(unwritable)?;
        Ok(entries.len())
    });
    match written {
        Ok(events) => {
            println!("{path}: {events} events");
            EXIT_OK
        }
        Err(message) => {
            eprintln!("{message}");
            EXIT_USAGE
        }
    }
}
