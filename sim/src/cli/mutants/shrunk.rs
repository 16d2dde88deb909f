//! `mutants --shrink`: how small the first failure of each planted bug becomes.

use std::cmp::Reverse;
use std::path::Path;
use std::time::{Duration, Instant};

use quintain_core::planted::{CATALOGUE, Entry};
use serde_json::json;

use super::{Effort, find, percentile};
use crate::cli::{EXIT_BUG, EXIT_OK, EXIT_USAGE};
use crate::plan::{Plan, Profile};
use crate::runner::{self, Options};
use crate::shrink::{Budget, Size, shrink};

/// What the medians may come to.
const GOAL: Cost = Cost { operations: 8, faults: 2, real: Duration::from_secs(60) };

/// What is measured against the goal.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Cost {
    operations: usize,
    faults: usize,
    /// Real time of the shrinking, without the search for the seed.
    real: Duration,
}

/// How one bug fared.
struct Row {
    entry: &'static Entry,
    /// `None`: no seed found it.
    small: Option<Small>,
}

/// A failure, made small.
struct Small {
    seed: u64,
    oracle: String,
    before: Size,
    after: Size,
    runs: u64,
    real: Duration,
    complete: bool,
}

/// Finds and shrinks every bug of the catalogue, or `only` one; returns the exit code, which is not zero when one was
/// missed or the medians miss the goal.
pub(crate) fn run(effort: &Effort, budget: Budget, only: Option<&str>, json: Option<&Path>) -> u8 {
    println!("{}", heading(""));
    let mut rows = Vec::new();
    for entry in CATALOGUE.iter().filter(|entry| only.is_none_or(|name| name == entry.name)) {
        let row = Row { entry, small: measure(entry, effort, budget) };
        println!("{}", row.line());
        rows.push(row);
    }
    rows.sort_by_key(|row| Reverse(row.rank()));
    println!("\n{}", heading("   (worst first)"));
    rows.iter().for_each(|row| println!("{}", row.line()));
    let good = summarize(&rows, effort.profile);
    if let Some(path) = json
        && let Err(error) = std::fs::write(path, as_json(&rows, effort, budget))
    {
        println!("{}: {error}", path.display());
        return EXIT_USAGE;
    }
    if good { EXIT_OK } else { EXIT_BUG }
}

fn measure(entry: &Entry, effort: &Effort, budget: Budget) -> Option<Small> {
    let (seed, oracle) = find(entry, effort, effort.seed_base).0?;
    let plan = Plan { planted: Some(entry.name.to_owned()), ..Plan::generate(seed, effort.profile) };
    let failures = runner::run(&plan, Options::default()).failures;
    let start = Instant::now();
    let shrunk = shrink(&plan, &failures, budget);
    let (before, after) = (Size::of(&plan), Size::of(&shrunk.plan));
    Some(Small { seed, oracle, before, after, runs: shrunk.runs, real: start.elapsed(), complete: shrunk.complete })
}

impl Row {
    /// The worse, the larger.
    fn rank(&self) -> (usize, usize, Duration) {
        self.small.as_ref().map_or((usize::MAX, usize::MAX, Duration::MAX), |small| {
            (small.after.operations, small.after.faults, small.real)
        })
    }

    fn line(&self) -> String {
        let Entry { name, class, .. } = self.entry;
        let Some(small) = &self.small else { return format!("{name:<26} {class:<17} MISSED") };
        format!(
            "{name:<26} {class:<17} {:<4} {:>7} {:>10} {:>6} {:>10} {:>6} {:>7.1}{}",
            small.oracle,
            format!("{:#x}", small.seed),
            small.after.operations,
            small.after.faults,
            small.after.initiators,
            small.runs,
            small.real.as_secs_f64(),
            if small.complete { "" } else { "   the time was up" },
        )
    }
}

fn heading(order: &str) -> String {
    format!(
        "{:<26} {:<17} {:<4} {:>7} {:>10} {:>6} {:>10} {:>6} {:>7}{order}",
        "planted bug", "class", "rule", "seed", "operations", "faults", "initiators", "runs", "s"
    )
}

/// Says what all came to; whether that is good enough.
fn summarize(rows: &[Row], profile: Profile) -> bool {
    let small: Vec<&Small> = rows.iter().filter_map(|row| row.small.as_ref()).collect();
    let (all, found) = (rows.len(), small.len());
    let within = |small: &&&Small| small.after.operations <= GOAL.operations && small.after.faults <= GOAL.faults;
    let small_enough = small.iter().filter(within).count();
    let cut_short = small.iter().filter(|small| !small.complete).count();
    let median = median(&small);
    println!("{found} of {all} planted bugs found and shrunk, seeds of profile {}", profile.name());
    println!(
        "median before: {} operations and {} faults",
        size(&small, |it| it.before.operations),
        size(&small, |it| it.before.faults)
    );
    println!(
        "{small_enough} of {all} end with at most {} operations and {} faults; of {cut_short} the time was up",
        GOAL.operations, GOAL.faults
    );
    println!(
        "median: {} operations, {} faults, {:.1} s; the goal is at most {} operations, {} faults, {} s",
        median.operations,
        median.faults,
        median.real.as_secs_f64(),
        GOAL.operations,
        GOAL.faults,
        GOAL.real.as_secs(),
    );
    found == all && median.is_within(GOAL)
}

fn median(small: &[&Small]) -> Cost {
    Cost {
        operations: size(small, |small| small.after.operations),
        faults: size(small, |small| small.after.faults),
        real: percentile(small.iter().map(|small| small.real).collect(), 50),
    }
}

fn size(small: &[&Small], of: impl Fn(&Small) -> usize) -> usize {
    percentile(small.iter().map(|small| of(small)).collect(), 50)
}

impl Cost {
    fn is_within(self, goal: Self) -> bool {
        self.operations <= goal.operations && self.faults <= goal.faults && self.real <= goal.real
    }
}

fn as_json(rows: &[Row], effort: &Effort, budget: Budget) -> String {
    let size = |size: Size| {
        let Size { operations, faults, initiators } = size;
        json!({ "operations": operations, "faults": faults, "initiators": initiators })
    };
    let small = |small: &Small| {
        json!({
            "seed": format!("{:#x}", small.seed),
            "oracle": small.oracle,
            "before": size(small.before),
            "after": size(small.after),
            "runs": small.runs,
            "real_ms": small.real.as_millis() as u64,
            "complete": small.complete,
        })
    };
    let bug = |row: &Row| {
        let Entry { name, class, story, .. } = row.entry;
        json!({ "name": name, "class": class, "story": story, "shrunk": row.small.as_ref().map(small) })
    };
    let found: Vec<&Small> = rows.iter().filter_map(|row| row.small.as_ref()).collect();
    let median = median(&found);
    let all = json!({
        "version": env!("CARGO_PKG_VERSION"),
        "profile": effort.profile.name(),
        "seeds": effort.seeds,
        "seed_base": format!("{:#x}", effort.seed_base),
        "jobs": budget.jobs,
        "shrink_time_s": budget.time.as_secs(),
        "median": {
            "operations": median.operations,
            "faults": median.faults,
            "real_ms": median.real.as_millis() as u64,
        },
        "bugs": rows.iter().map(bug).collect::<Vec<_>>(),
    });
    format!("{all:#}\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(operations: usize, faults: usize, seconds: u64) -> Row {
        let of = |operations, faults| Size { operations, faults, initiators: 1 };
        let small = Small {
            seed: 7,
            oracle: "B5".to_owned(),
            before: of(1_000, 20),
            after: of(operations, faults),
            runs: 100,
            real: Duration::from_secs(seconds),
            complete: true,
        };
        Row { entry: &CATALOGUE[0], small: Some(small) }
    }

    #[test]
    fn medians_are_held_against_the_goal() {
        let good = [row(8, 0, 60), row(1, 2, 1), row(900, 9, 600)];
        assert!(summarize(&good, Profile::Full));
        assert!(!summarize(&[row(9, 0, 1), row(9, 0, 1), row(1, 0, 1)], Profile::Full), "operations");
        assert!(!summarize(&[row(1, 3, 1), row(1, 3, 1), row(1, 0, 1)], Profile::Full), "faults");
        assert!(!summarize(&[row(1, 0, 61), row(1, 0, 61), row(1, 0, 1)], Profile::Full), "time");
    }

    #[test]
    fn bug_that_no_seed_found_is_the_worst_and_misses_the_goal() {
        let mut rows = [row(5, 0, 1), row(1, 0, 1), Row { entry: &CATALOGUE[0], small: None }, row(5, 1, 1)];
        rows.sort_by_key(|row| Reverse(row.rank()));
        assert!(rows[0].small.is_none() && rows[0].line().ends_with("MISSED"));
        assert_eq!(rows[1].rank(), (5, 1, Duration::from_secs(1)));
        assert!(!summarize(&rows, Profile::Full));
        assert!(summarize(&rows[1..], Profile::Full));
    }
}
