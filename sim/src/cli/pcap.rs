//! `pcap`: the simulated wire as a capture.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use std::sync::mpsc;

use clap::Args;

use super::trace::RunArgs;
use super::{EXIT_OK, EXIT_USAGE};
use crate::pcap::Capture;
use crate::plan::Plan;
use crate::runner::{self, Options};

/// Which run goes into which file.
#[derive(Args)]
pub(super) struct PcapArgs {
    /// A seed (0x1f) or a plan (repro/0x1f.toml).
    what: String,
    /// The capture file to write.
    #[arg(long)]
    out: PathBuf,
    #[command(flatten)]
    run: RunArgs,
}

/// Writes the capture; returns the exit code.
pub(super) fn run(args: &PcapArgs) -> u8 {
    match args.run.plan(&args.what).and_then(|plan| capture(&plan, &args.out)) {
        Ok(packets) => {
            println!("{}: {packets} packets", args.out.display());
            EXIT_OK
        }
        Err(message) => {
            eprintln!("{message}");
            EXIT_USAGE
        }
    }
}

/// Writes a run of `plan` into the file at `path`; returns how many packets it has.
fn capture(plan: &Plan, path: &Path) -> Result<usize, String> {
    let unwritable = |error| format!("{} cannot be written ({error}); name another file with --out", path.display());
    let mut file = BufWriter::new(File::create(path).map_err(unwritable)?);
    let (sender, blocks) = mpsc::channel();
    let watch = Capture::new(move |block| drop(sender.send(block)));
    drop(runner::run(plan, Options { watch: Some(Box::new(watch)), ..Options::default() }));
    // The first two describe the file.
    let mut written = 0_usize;
    for block in blocks.try_iter() {
        file.write_all(&block).map_err(unwritable)?;
        written += 1;
    }
    file.flush().map_err(unwritable)?;
    Ok(written.saturating_sub(2))
}
