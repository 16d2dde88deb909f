//! `mutants`: how many seeds, and how much processor time, until each planted bug is found.

mod shrunk;

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use quintain_core::planted::{self, CATALOGUE, Entry, SIMULATOR};
use rustix::time::{ClockId, clock_gettime};
use serde_json::json;

use super::batch::{Batch, sweep};
use super::record::{Found, Outcome};
use super::{EXIT_BUG, EXIT_OK, EXIT_USAGE};
use crate::plan::{Plan, Profile};
use crate::runner::{self, Options};
use crate::{oracle, strikes};
pub(super) use shrunk::run as shrink;

/// Within how many seeds the bugs are to be found.
const GOALS: [u64; 3] = [100, 1_000, 10_000];

/// How hard to try.
pub(super) struct Effort {
    /// Seeds of one try.
    pub(super) seeds: u64,
    /// First seed of the first try; the tries of one bug share no seed.
    pub(super) seed_base: u64,
    /// Tries of each bug.
    pub(super) repeats: u64,
    /// Seeds at a time.
    pub(super) jobs: usize,
    /// How big each run is.
    pub(super) profile: Profile,
    /// Tasks run by priorities in every seed.
    pub(super) priorities: bool,
}

/// How one bug fared.
struct Row {
    entry: &'static Entry,
    tries: Vec<Try>,
}

struct Try {
    /// The rule that was broken first.
    found: Option<String>,
    seeds: u64,
    /// Processor time of this process.
    cpu: Duration,
}

/// Measures every bug of the catalogue, or `only` one; returns the exit code, which is not zero when one was missed.
pub(super) fn run(effort: &Effort, only: Option<&str>, json: Option<&Path>) -> u8 {
    let mut rows = Vec::new();
    for entry in CATALOGUE.iter().filter(|entry| only.is_none_or(|name| name == entry.name)) {
        let bases = (0..effort.repeats).map(|number| effort.seed_base.wrapping_add(number * effort.seeds));
        let row = Row { entry, tries: bases.map(|base| measure(entry, effort, base)).collect() };
        println!("{}", row.line());
        rows.push(row);
    }
    rows.sort_by_key(|row| (Reverse(row.missed()), Reverse(row.seeds(50)), Reverse(row.seeds(95))));
    println!("\n{}", heading());
    rows.iter().for_each(|row| println!("{}", row.line()));
    summarize(&rows, effort);
    if let Some(path) = json
        && let Err(error) = std::fs::write(path, as_json(&rows, effort))
    {
        println!("{}: {error}", path.display());
        return EXIT_USAGE;
    }
    if rows.iter().all(|row| row.missed() == 0) { EXIT_OK } else { EXIT_BUG }
}

fn measure(entry: &'static Entry, effort: &Effort, seed_base: u64) -> Try {
    let before = cpu_time();
    if let Some(rule) = found_without_a_seed(entry) {
        return Try { found: Some(rule), seeds: 0, cpu: cpu_time() - before };
    }
    let (found, seeds) = find(entry, effort, seed_base);
    Try { found: found.map(|(_, oracle)| oracle), seeds, cpu: cpu_time() - before }
}

/// The first seed that finds it, with the rule that was broken first; and how many seeds ran.
fn find(entry: &Entry, effort: &Effort, seed_base: u64) -> (Option<(u64, String)>, u64) {
    let &Effort { seeds, jobs, profile, priorities, .. } = effort;
    let (mut ran, mut from) = (0, seed_base);
    while ran < seeds {
        let planted = Some(entry.name.to_owned());
        let batch = Batch { priorities, ..Batch::first_failure(seeds - ran, from, jobs, profile, planted) };
        let mut outcome = Outcome::default();
        sweep(&batch, &mut outcome, &AtomicBool::new(false), |_| ());
        ran += outcome.seeds;
        let Some(Found { seed, oracle, .. }) = outcome.found.into_values().next() else {
            break;
        };
        // A seed that fails without the bug, too, says nothing about it.
        let sound = Plan { planted: None, ..batch.plan(seed) };
        if runner::run(&sound, Options::default()).failures.is_empty() {
            return (Some((seed, oracle)), ran);
        }
        from = seed.wrapping_add(1);
    }
    (None, ran)
}

/// What finds a bug of the simulator before any seed runs: the self-test of its checker (S10), or that of its faults (S9).
fn found_without_a_seed(entry: &Entry) -> Option<String> {
    if entry.class != SIMULATOR {
        return None;
    }
    planted::select(Some(entry.bug));
    let checker = oracle::self_test();
    planted::select(None);
    let rule = if checker.is_err() { Some("S10") } else { strikes::check(Some(entry.name)).err().map(|_| "S9") };
    rule.map(str::to_owned)
}

/// Processor time of all threads of this process, those that have ended included.
fn cpu_time() -> Duration {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    Duration::new(time.tv_sec.unsigned_abs(), time.tv_nsec.unsigned_abs() as u32)
}

impl Row {
    /// Tries that did not find it.
    fn missed(&self) -> usize {
        self.tries.iter().filter(|attempt| attempt.found.is_none()).count()
    }

    /// Seeds that this many percent of the tries did not need more of. A try that missed counts with what it spent.
    fn seeds(&self, percent: usize) -> u64 {
        percentile(self.tries.iter().map(|attempt| attempt.seeds).collect(), percent)
    }

    /// The same of the processor time.
    fn cpu(&self, percent: usize) -> Duration {
        percentile(self.tries.iter().map(|attempt| attempt.cpu).collect(), percent)
    }

    /// It was found within `seeds` in this many percent of the tries.
    fn is_within(&self, seeds: u64, percent: usize) -> bool {
        let needed = |attempt: &Try| attempt.found.as_ref().map_or(u64::MAX, |_| attempt.seeds);
        percentile(self.tries.iter().map(needed).collect(), percent) <= seeds
    }

    /// How often each oracle was the first.
    fn oracles(&self) -> BTreeMap<&str, usize> {
        let mut oracles = BTreeMap::new();
        for oracle in self.tries.iter().filter_map(|attempt| attempt.found.as_deref()) {
            *oracles.entry(oracle).or_default() += 1;
        }
        oracles
    }

    fn found_by(&self) -> String {
        let mut parts = Vec::new();
        match self.missed() {
            0 => {}
            _ if self.tries.len() == 1 => parts.push("MISSED".to_owned()),
            missed => parts.push(format!("MISSED {missed}")),
        }
        let mut oracles: Vec<_> = self.oracles().into_iter().collect();
        oracles.sort_by_key(|(_, count)| Reverse(*count));
        let only = oracles.len() == 1 && parts.is_empty();
        parts.extend(oracles.iter().map(|(id, count)| if only { (*id).to_owned() } else { format!("{id} {count}") }));
        parts.join(", ")
    }

    fn line(&self) -> String {
        format!(
            "{:<24} {:<17} {:<20} {:>6} {:>6} {:>7.1} {:>7.1}   {}",
            self.entry.name,
            self.entry.class,
            self.found_by(),
            self.seeds(50),
            self.seeds(95),
            self.cpu(50).as_secs_f64(),
            self.cpu(95).as_secs_f64(),
            self.entry.story,
        )
    }
}

fn heading() -> String {
    format!(
        "{:<24} {:<17} {:<20} {:>6} {:>6} {:>7} {:>7}   (misses first)",
        "planted bug", "class", "found first by", "seeds", "95 %", "CPU s", "95 %"
    )
}

fn summarize(rows: &[Row], effort: &Effort) {
    let found = rows.iter().filter(|row| row.missed() == 0).count();
    let (all, seeds, profile) = (rows.len(), effort.seeds, effort.profile.name());
    let repeats = if effort.repeats == 1 { String::new() } else { format!(" in each of {} tries", effort.repeats) };
    for goal in GOALS.into_iter().filter(|&goal| goal <= seeds) {
        let within = |percent| rows.iter().filter(|row| row.is_within(goal, percent)).count();
        println!("within {goal} seeds: {} of {all} in the median, {} in 95 % of the tries", within(50), within(95));
    }
    let cpu = percentile(rows.iter().map(|row| row.cpu(50)).collect(), 50);
    println!("median of all bugs: {:.1} CPU s", cpu.as_secs_f64());
    println!("{found} of {all} planted bugs found within {seeds} seeds of profile {profile}{repeats}");
}

fn as_json(rows: &[Row], effort: &Effort) -> String {
    let bugs: Vec<_> = rows
        .iter()
        .map(|row| {
            let tries: Vec<_> = row
                .tries
                .iter()
                .map(|attempt| json!({ "found_by": attempt.found, "seeds": attempt.seeds, "cpu_ms": attempt.cpu.as_millis() as u64 }))
                .collect();
            json!({
                "name": row.entry.name,
                "class": row.entry.class,
                "story": row.entry.story,
                "missed": row.missed(),
                "found_by": row.oracles(),
                "seeds_median": row.seeds(50),
                "seeds_95": row.seeds(95),
                "cpu_ms_median": row.cpu(50).as_millis() as u64,
                "cpu_ms_95": row.cpu(95).as_millis() as u64,
                "tries": tries,
            })
        })
        .collect();
    let Effort { seeds, seed_base, repeats, jobs, profile, priorities } = effort;
    let all = json!({
        "version": env!("CARGO_PKG_VERSION"),
        "profile": profile.name(),
        "seeds": seeds,
        "seed_base": format!("{seed_base:#x}"),
        "repeats": repeats,
        "jobs": jobs,
        "priorities": priorities,
        "bugs": bugs,
    });
    format!("{all:#}\n")
}

/// The smallest of `values` that this many percent of them do not exceed (nearest rank).
fn percentile<T: Ord + Copy + Default>(mut values: Vec<T>, percent: usize) -> T {
    values.sort_unstable();
    let rank = (values.len() * percent).div_ceil(100).max(1);
    values.get(rank - 1).copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(tries: &[(Option<&'static str>, u64)]) -> Row {
        let attempt = |&(found, seeds): &(Option<&str>, u64)| Try {
            found: found.map(str::to_owned),
            seeds,
            cpu: Duration::from_secs(seeds),
        };
        Row { entry: &CATALOGUE[0], tries: tries.iter().map(attempt).collect() }
    }

    /// The classes of a catalogue of any worth. Two are not there: nothing of the kind can be planted before there are
    /// reservations and COMPARE AND WRITE.
    const CLASSES: [&str; 11] = [
        "framing",
        "sequence numbers",
        "data transfer",
        "abort",
        "ordering",
        "unit attention",
        "durability",
        "concurrency",
        "resources",
        "recovery",
        SIMULATOR,
    ];

    #[test]
    fn catalogue_has_at_least_sixty_bugs_and_five_in_each_class() {
        assert!(CATALOGUE.len() >= 60);
        let mut classes: BTreeMap<&str, usize> = CLASSES.iter().map(|class| (*class, 0)).collect();
        CATALOGUE.iter().for_each(|entry| *classes.entry(entry.class).or_default() += 1);
        assert!(classes.values().all(|count| *count >= 5), "{classes:?}");
        let names: std::collections::BTreeSet<&str> = CATALOGUE.iter().map(|entry| entry.name).collect();
        assert_eq!(names.len(), CATALOGUE.len(), "two bugs have one name");
    }

    #[test]
    fn percentile_is_the_nearest_rank() {
        let twenty: Vec<u64> = (1..=20).rev().collect();
        assert_eq!((percentile(twenty.clone(), 50), percentile(twenty, 95)), (10, 19));
        assert_eq!((percentile(vec![7], 50), percentile(vec![7], 95)), (7, 7));
        assert_eq!(percentile(vec![3, 1, 2], 95), 3);
    }

    #[test]
    fn bug_that_was_missed_is_within_no_goal_and_says_how_often() {
        let row = row(&[(Some("T6"), 5), (None, 50), (Some("B2"), 7), (Some("T6"), 90)]);
        assert_eq!((row.missed(), row.seeds(50), row.seeds(95)), (1, 7, 90));
        assert_eq!(row.found_by(), "MISSED 1, T6 2, B2 1");
        assert!(row.is_within(7, 50) && !row.is_within(6, 50));
        assert!(!row.is_within(10_000, 95));
    }
}
