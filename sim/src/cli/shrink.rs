//! `shrink`: the smallest plan that breaks the same rule.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::record::{Origin, Small, repro_line};
use super::repro::load;
use super::shard::Shard;
use super::{EXIT_BUG, EXIT_OK, EXIT_USAGE};
use crate::plan::{Plan, Profile};
use crate::runner::{self, Options};
use crate::shrink::{Budget, Shrunk, Size, shrink};
use crate::verdict::{Failure, WATCHDOG};

/// Why a run that the watchdog ended is not tried in other sizes.
pub(super) const UNREPEATED: &str = "each smaller one might not either, and none can be stopped";

/// Shrinks the seed or the plan file `what`; returns the exit code.
pub(super) fn run(what: &str, profile: Profile, planted: Option<String>, out: Option<PathBuf>, budget: Budget) -> u8 {
    shrink_what(what, profile, planted.as_deref(), out, budget).unwrap_or_else(|message| {
        eprintln!("{message}");
        EXIT_USAGE
    })
}

fn shrink_what(
    what: &str,
    profile: Profile,
    planted: Option<&str>,
    out: Option<PathBuf>,
    budget: Budget,
) -> Result<u8, String> {
    let plan = load(what, profile, planted)?;
    let failures = runner::run(&plan, Options::default()).failures;
    if failures.is_empty() {
        println!("{what} passes: there is nothing to shrink");
        return Ok(EXIT_OK);
    }
    if failures[0].oracle == WATCHDOG {
        println!("{what} does not come to its end: {UNREPEATED}");
        return Ok(EXIT_BUG);
    }
    let small = shrink_and_keep(&plan, &failures, out, budget)?;
    let origin = Origin::here(plan.profile, plan.planted.clone(), plan.seed, Shard::WHOLE);
    println!("{}", repro_line(&origin, &small.plan, failures[0].oracle, Some(small.size)));
    Ok(EXIT_BUG)
}

/// Shrinks `plan`, writes what comes of it, and says how small it became.
pub(super) fn shrink_and_keep(
    plan: &Plan,
    failures: &[Failure],
    out: Option<PathBuf>,
    budget: Budget,
) -> Result<Small, String> {
    let start = Instant::now();
    let shrunk = shrink(plan, failures, budget);
    let path = out.unwrap_or_else(|| PathBuf::from(format!("repro/{:#x}.small.toml", plan.seed)));
    let kept = keep(&shrunk, &path);
    println!("{}", told(plan, &shrunk, start.elapsed()));
    println!("  {}", shrunk.failures[0]);
    kept.map_err(|error| format!("{} cannot be written: {error}; name another file with --out", path.display()))?;
    Ok(Small { plan: path.display().to_string(), size: Size::of(&shrunk.plan) })
}

fn keep(shrunk: &Shrunk, path: &Path) -> std::io::Result<()> {
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder)?;
    }
    let story = Some(shrunk.failures[0].to_string());
    std::fs::write(path, Plan { story, ..shrunk.plan.clone() }.to_toml())
}

fn told(plan: &Plan, shrunk: &Shrunk, elapsed: Duration) -> String {
    let (before, after) = (Size::of(plan), Size::of(&shrunk.plan));
    format!(
        "shrunk from {} operations, {} faults and {} initiators to {}, {} and {} in {} runs and {}.{} s{}",
        before.operations,
        before.faults,
        before.initiators,
        after.operations,
        after.faults,
        after.initiators,
        shrunk.runs,
        elapsed.as_secs(),
        elapsed.subsec_millis() / 100,
        if shrunk.complete { "" } else { "; the time was up, --shrink-time gives more" },
    )
}
