//! The files that a run, or a merge of runs, leaves for other programs.

use std::path::PathBuf;

use clap::Args;

use super::record::Record;
use super::{junit, markdown};

/// Where to.
#[derive(Args, Clone, Default)]
pub(super) struct Files {
    /// Writes a JUnit file: one case for each oracle and shard, with the line that does a failure again.
    #[arg(long)]
    junit: Option<PathBuf>,
    /// Adds a summary in Markdown to this file, as for $GITHUB_STEP_SUMMARY.
    #[arg(long)]
    summary: Option<PathBuf>,
}

impl Files {
    /// Writes what was asked for.
    pub(super) fn write(&self, records: &[Record]) -> Result<(), String> {
        if let Some(path) = &self.junit {
            let written = std::fs::write(path, junit::render(records));
            written.map_err(|error| format!("{} cannot be written: {error}", path.display()))?;
        }
        if let Some(path) = &self.summary {
            let open = std::fs::OpenOptions::new().create(true).append(true).open(path);
            let written =
                open.and_then(|mut file| std::io::Write::write_all(&mut file, markdown::render(records).as_bytes()));
            written.map_err(|error| format!("{} cannot be written: {error}", path.display()))?;
        }
        Ok(())
    }
}
