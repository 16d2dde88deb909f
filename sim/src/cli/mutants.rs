//! `mutants`: how many seeds, and how much processor time, until each planted bug is found.

use std::time::Duration;

use quintain_core::planted::{CATALOGUE, Entry};
use rustix::time::{ClockId, clock_gettime};

use super::batch::{Batch, sweep};
use super::report::Progress;
use super::{EXIT_BUG, EXIT_OK};
use crate::plan::{Plan, Profile};
use crate::runner::{self, Options};

/// How one bug fared.
struct Row {
    entry: &'static Entry,
    found: Option<String>,
    seeds: u64,
    /// Processor time of this process.
    cpu: Duration,
}

/// Measures every bug of the catalogue, or `only` one; returns the exit code, which is not zero when one was missed.
pub(super) fn run(seeds: u64, seed_base: u64, only: Option<&str>, jobs: usize, profile: Profile) -> u8 {
    let mut rows = Vec::new();
    for entry in CATALOGUE.iter().filter(|entry| only.is_none_or(|name| name == entry.name)) {
        let row = measure(entry, seeds, seed_base, jobs, profile);
        println!("{}", line(&row));
        rows.push(row);
    }
    rows.sort_by_key(|row| (row.found.is_some(), std::cmp::Reverse(row.seeds)));
    let missed = rows.iter().filter(|row| row.found.is_none()).count();
    println!("\nplanted bug                      class                 found by   seeds   CPU s   (misses first)");
    rows.iter().for_each(|row| println!("{}", line(row)));
    println!(
        "{} of {} planted bugs found within {seeds} seeds of profile {}",
        rows.len() - missed,
        rows.len(),
        profile.name()
    );
    if missed == 0 { EXIT_OK } else { EXIT_BUG }
}

fn measure(entry: &'static Entry, seeds: u64, seed_base: u64, jobs: usize, profile: Profile) -> Row {
    let (progress, before) = (Progress::silent(), cpu_time());
    let (mut ran, mut from, mut found) = (0, seed_base, None);
    while found.is_none() && ran < seeds {
        let planted = Some(entry.name.to_owned());
        let batch = Batch { seeds: seeds - ran, seed_base: from, jobs, profile, planted, keep_going: false };
        let outcome = sweep(&batch, &progress);
        ran += outcome.seeds;
        let Some((&seed, failures)) = outcome.failed.first_key_value() else { break };
        // A seed that fails without the bug, too, says nothing about it.
        if runner::run(&Plan::generate(seed, profile), Options::default()).failures.is_empty() {
            found = Some(failures[0].oracle.to_owned());
        }
        from = seed + 1;
    }
    Row { entry, found, seeds: ran, cpu: cpu_time() - before }
}

/// Processor time of all threads of this process, those that have ended included.
fn cpu_time() -> Duration {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    Duration::new(time.tv_sec.unsigned_abs(), time.tv_nsec.unsigned_abs() as u32)
}

fn line(row: &Row) -> String {
    format!(
        "{:<32} {:<21} {:<10} {:>5} {:>5}.{}   {}",
        row.entry.name,
        row.entry.class,
        row.found.as_deref().unwrap_or("MISSED"),
        row.seeds,
        row.cpu.as_secs(),
        row.cpu.subsec_millis() / 100,
        row.entry.story,
    )
}
