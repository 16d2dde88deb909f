//! `run`: many seeds on several threads.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc;
use std::time::Duration;

use super::probes::{self, FirstHits};
use super::report::{Progress, banner, repro_command, save_plan, summary};
use super::shrink::shrink_and_keep;
use super::{EXIT_BUG, EXIT_NOT_DETERMINISTIC};
use crate::plan::{Plan, Profile};
use crate::runner::{self, Options};
use crate::shrink::Budget;
use crate::verdict::{Failure, Stats, Verdict};

/// One seed in this many is run twice (S7).
const TWICE_ONE_IN: u64 = 20;
/// Distinct failing seeds after which a run that keeps going gives up.
const FAILURES_MAX: usize = 100;

/// What to run.
pub(super) struct Batch {
    pub(super) seeds: u64,
    pub(super) seed_base: u64,
    pub(super) jobs: usize,
    pub(super) profile: Profile,
    pub(super) planted: Option<String>,
    pub(super) keep_going: bool,
}

/// What a batch has shown.
#[derive(Default)]
pub(super) struct Outcome {
    pub(super) seeds: u64,
    pub(super) twice: u64,
    pub(super) stats: Stats,
    pub(super) first_hits: FirstHits,
    /// By seed.
    pub(super) failed: BTreeMap<u64, Vec<Failure>>,
}

/// A seed, and what its run has shown.
struct Result {
    seed: u64,
    verdict: Verdict,
    twice: bool,
}

/// Runs the batch with banner, progress and summary, and makes the plan of the first failure small; returns the exit
/// code.
pub(super) fn run(batch: &Batch, shrink: Option<Budget>) -> u8 {
    let header = banner(batch.seeds, batch.seed_base, batch.profile, batch.jobs, batch.planted.as_deref());
    println!("{header}");
    let progress = Progress::new(batch.seeds);
    let outcome = sweep(batch, &progress);
    let elapsed = progress.finish();
    println!("{header}");
    println!("{}", summary(&outcome, elapsed));
    let Some((&seed, failures)) = outcome.failed.first_key_value() else {
        println!("all {} seeds passed", outcome.seeds);
        return probes::judge(batch, &outcome);
    };
    for (seed, failures) in &outcome.failed {
        println!("seed {seed:#x} failed:");
        failures.iter().for_each(|failure| println!("  {failure}"));
    }
    let plan = plan_of(batch, seed);
    match save_plan(&plan) {
        Ok(path) => println!("plan: {}", path.display()),
        Err(error) => println!("the plan could not be kept: {error}"),
    }
    // What differs from run to run cannot be told smaller from gone.
    if failures[0].oracle == "S7" {
        println!("{}", repro_command(&plan, &failures[0]));
        return EXIT_NOT_DETERMINISTIC;
    }
    if let Some(budget) = shrink
        && let Err(message) = shrink_and_keep(&plan, failures, None, budget)
    {
        println!("{message}");
    }
    println!("{}", repro_command(&plan, &failures[0]));
    EXIT_BUG
}

/// Runs the seeds until one fails, or all of them if the batch keeps going.
pub(super) fn sweep(batch: &Batch, progress: &Progress) -> Outcome {
    let (next, stop) = (AtomicU64::new(0), AtomicBool::new(false));
    let mut outcome = Outcome::default();
    std::thread::scope(|scope| {
        let (sender, receiver) = mpsc::channel();
        for _ in 0..batch.jobs {
            let (sender, next, stop) = (sender.clone(), &next, &stop);
            scope.spawn(move || {
                while !stop.load(Ordering::Relaxed) {
                    let index = next.fetch_add(1, Ordering::Relaxed);
                    if index >= batch.seeds || sender.send(run_one(batch, index)).is_err() {
                        break;
                    }
                }
            });
        }
        drop(sender);
        for result in receiver {
            outcome.seeds += 1;
            outcome.twice += u64::from(result.twice);
            outcome.stats.add(&result.verdict.stats);
            outcome.first_hits.note(result.seed.wrapping_sub(batch.seed_base) + 1, result.verdict.stats.probes);
            if !result.verdict.passed() {
                outcome.failed.insert(result.seed, result.verdict.failures);
                if !batch.keep_going || outcome.failed.len() >= FAILURES_MAX {
                    stop.store(true, Ordering::Relaxed);
                }
            }
            progress.seed_done(&outcome);
        }
    });
    outcome
}

fn run_one(batch: &Batch, index: u64) -> Result {
    let seed = batch.seed_base.wrapping_add(index);
    let plan = plan_of(batch, seed);
    let mut verdict = runner::run(&plan, Options::default());
    let twice = batch.planted.is_none() && seed.is_multiple_of(TWICE_ONE_IN) && verdict.trace_hash != 0;
    if twice {
        let again = runner::run(&plan, Options { limit: Duration::from_secs(240), ..Options::default() });
        if again.trace_hash != verdict.trace_hash {
            let message = format!("two runs have the hashes {:032x} and {:032x}", verdict.trace_hash, again.trace_hash);
            verdict.failures.insert(0, Failure { oracle: "S7", message });
        }
    }
    Result { seed, verdict, twice }
}

fn plan_of(batch: &Batch, seed: u64) -> Plan {
    Plan { planted: batch.planted.clone(), ..Plan::generate(seed, batch.profile) }
}
