//! What the user sees: banner, progress, summary, the line that reproduces.

use std::cell::Cell;
use std::io::IsTerminal;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};

use super::batch::Outcome;
use crate::plan::{Plan, Profile};
use crate::verdict::{Failure, oracle_name};

/// Time between two lines of progress where there is no terminal.
const LINE_EVERY: Duration = Duration::from_secs(30);

/// Who runs what.
pub(super) fn banner(seeds: u64, seed_base: u64, profile: Profile, jobs: usize, planted: Option<&str>) -> String {
    let mut line = format!(
        "quintain-sim {} · {seeds} seeds from {seed_base:#x} · profile {} · {jobs} jobs · {}",
        env!("CARGO_PKG_VERSION"),
        profile.name(),
        if cfg!(debug_assertions) { "assertions on" } else { "assertions off" },
    );
    if let Some(name) = planted {
        line.push_str(" · planted ");
        line.push_str(name);
    }
    line
}

/// A bar on a terminal, a line now and then otherwise.
pub(super) struct Progress {
    bar: Option<ProgressBar>,
    seeds: u64,
    start: Instant,
    last_line: Cell<Instant>,
}

impl Progress {
    pub(super) fn new(seeds: u64) -> Self {
        let bar = std::io::stderr().is_terminal().then(|| {
            let style = ProgressStyle::with_template("{bar:30} {pos}/{len} seeds · {msg} · {eta} left");
            ProgressBar::new(seeds).with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()))
        });
        Self { bar, seeds, start: Instant::now(), last_line: Cell::new(Instant::now()) }
    }

    /// Without any output.
    pub(super) fn silent() -> Self {
        let far = Instant::now() + Duration::from_secs(1 << 30);
        Self { bar: None, seeds: 0, start: Instant::now(), last_line: Cell::new(far) }
    }

    pub(super) fn seed_done(&self, outcome: &Outcome) {
        let elapsed = self.start.elapsed();
        let speed = per_second(outcome.seeds, elapsed);
        if let Some(bar) = &self.bar {
            let probes = outcome.first_hits.count();
            bar.set_message(format!("{speed}/s · {} failed · {probes}", outcome.failed.len()));
            bar.set_position(outcome.seeds);
        } else if self.last_line.get() + LINE_EVERY < Instant::now() {
            self.last_line.set(Instant::now());
            let failed = outcome.failed.len();
            let probes = outcome.first_hits.count();
            println!("{} of {} seeds, {speed} a second, {failed} failed, {probes}", outcome.seeds, self.seeds);
        }
    }

    /// Real time since the start.
    pub(super) fn finish(&self) -> Duration {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
        self.start.elapsed()
    }
}

/// The numbers of a batch; seeds per second are of real time, over all jobs.
pub(super) fn summary(outcome: &Outcome, elapsed: Duration) -> String {
    let seeds = outcome.seeds.max(1);
    let stats = &outcome.stats;
    format!(
        "{} seeds in {}.{} s: {} seeds a second, {} run twice\n\
         per seed: {} commands ({} GOOD), {}.{} faults, {} logins ({}.{} to a session that was there), {} attacks, {} events, {} s of virtual time",
        outcome.seeds,
        elapsed.as_secs(),
        elapsed.subsec_millis() / 100,
        per_second(outcome.seeds + outcome.twice, elapsed),
        outcome.twice,
        stats.commands / seeds,
        stats.good / seeds,
        stats.faults / seeds,
        stats.faults * 10 / seeds % 10,
        stats.logins / seeds,
        stats.continued / seeds,
        stats.continued * 10 / seeds % 10,
        stats.attacks / seeds,
        stats.events / seeds,
        stats.virtual_us / seeds / 1_000_000,
    )
}

/// One decimal place, without floats.
fn per_second(count: u64, elapsed: Duration) -> String {
    let tenths = u128::from(count) * 10_000 / elapsed.as_millis().max(1);
    format!("{}.{}", tenths / 10, tenths % 10)
}

/// Keeps the plan of a failure.
pub(super) fn save_plan(plan: &Plan) -> std::io::Result<PathBuf> {
    std::fs::create_dir_all("repro")?;
    let path = PathBuf::from(format!("repro/{:#x}.toml", plan.seed));
    std::fs::write(&path, plan.to_toml())?;
    Ok(path)
}

/// The one line that reproduces a failure.
pub(super) fn repro_command(plan: &Plan, failure: &Failure) -> String {
    let mut line = format!("cargo sim repro {:#x} --profile {}", plan.seed, plan.profile.name());
    if let Some(name) = &plan.planted {
        line.push_str(" --planted ");
        line.push_str(name);
    }
    format!("{line}   # {} {}", failure.oracle, oracle_name(failure.oracle))
}
