//! `run`: a batch with all that belongs to it.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use clap::Args;
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::flag;

use super::batch::{Batch, Ended, sweep};
use super::files::Files;
use super::record::{Found, Origin, Outcome, Record, Small};
use super::report::{Progress, banner, save_plan, stories, summary};
use super::shard::Shard;
use super::shrink::{UNREPEATED, shrink_and_keep};
use super::{Common, EXIT_BUG, EXIT_INCOMPLETE, EXIT_NOT_DETERMINISTIC, EXIT_USAGE, jobs};
use crate::plan::parse_seed;
use crate::runner::{self, Options};
use crate::shrink::Budget;
use crate::verdict::WATCHDOG;

/// Seeds, when nothing says when to stop.
const SEEDS: u64 = 100;
/// Fingerprints after which a run that keeps going gives up.
const FAILURES: usize = 100;
/// Making the plans of all failures small may take so many times as long as that of one.
const SHRINKS: u32 = 5;
/// How often the results so far are saved.
const SAVE_EVERY: Duration = Duration::from_secs(10);

/// What the command line says.
#[derive(Args)]
pub(super) struct Arguments {
    /// How many seeds, of all shards together; 100, if nothing else says when to stop.
    #[arg(long)]
    seeds: Option<u64>,
    /// The first seed.
    #[arg(long, default_value = "0x0", value_parser = parse_seed)]
    seed_base: u64,
    /// Begin no seed after so many seconds.
    #[arg(long)]
    time: Option<u64>,
    /// Stop when so many seeds in a row showed nothing new: no failure, no probe, nor three kinds of events of core in an
    /// order that was not seen before.
    #[arg(long, value_name = "SEEDS")]
    until_stable: Option<u64>,
    /// Run one of N parts of the seeds, K from 0 on.
    #[arg(long, value_name = "K/N")]
    shard: Option<Shard>,
    /// How many parts there are; which one this is say JOB_COMPLETION_INDEX or SLURM_ARRAY_TASK_ID.
    #[arg(long, conflicts_with = "shard")]
    shards: Option<u64>,
    /// Run the rest of the seeds after a failure, too.
    #[arg(long)]
    keep_going: bool,
    /// Keep going until there are so many failures with different fingerprints [default: 100].
    #[arg(long, value_name = "K")]
    failures: Option<usize>,
    /// Keeps the results in this file, as JSON, for `merge` and --resume.
    #[arg(long, conflicts_with = "resume")]
    json: Option<PathBuf>,
    /// Goes on with the results in this file, if it is there, and keeps them in it.
    #[arg(long, value_name = "FILE")]
    resume: Option<PathBuf>,
    #[command(flatten)]
    files: Files,
    /// Leave the plans of failures as big as they are.
    #[arg(long)]
    no_shrink: bool,
    /// Real time for making the first plan of a fingerprint smaller, in seconds; all together take five times as long at most.
    #[arg(long, default_value_t = 60)]
    shrink_time: u64,
    #[command(flatten)]
    common: Common,
}

/// Runs the batch with banner, progress, files and summary, and makes the plan of the first failure of each
/// fingerprint small; returns the exit code.
pub(super) fn run(arguments: Arguments) -> u8 {
    match Job::new(arguments) {
        Ok(job) => job.run(),
        Err(message) => {
            eprintln!("{message}");
            EXIT_USAGE
        }
    }
}

struct Job {
    batch: Batch,
    record: Record,
    /// Where the results are kept.
    state: Option<PathBuf>,
    files: Files,
    shrink: Option<Budget>,
}

impl Job {
    fn new(arguments: Arguments) -> Result<Self, String> {
        let Arguments { seeds, seed_base, time, until_stable, keep_going, failures, .. } = arguments;
        let shard = Shard::find(arguments.shard, arguments.shards, |name| std::env::var(name).ok())?;
        let Common { jobs: count, profile, planted } = arguments.common;
        let endless = time.is_none() && until_stable.is_none();
        let batch = Batch {
            seeds: seeds.or_else(|| endless.then_some(SEEDS)),
            seed_base,
            shard,
            jobs: jobs(count),
            profile,
            planted: planted.clone(),
            priorities: false,
            failures: failures.unwrap_or(if keep_going { FAILURES } else { 1 }),
            until_stable,
            time: time.map(Duration::from_secs),
        };
        let mut record =
            Record { origin: Origin::here(profile, planted, seed_base, shard), outcome: Outcome::default() };
        if let Some(path) = arguments.resume.as_ref().filter(|path| path.exists()) {
            record.outcome = resumed(&record.origin, Record::read(path)?)?;
            println!("{} seeds are done: {}", record.outcome.seeds, path.display());
        }
        let time = Duration::from_secs(arguments.shrink_time);
        let shrink = Budget { jobs: batch.jobs, time, runs: u64::MAX };
        Ok(Self {
            batch,
            record,
            state: arguments.resume.or(arguments.json),
            files: arguments.files,
            shrink: (!arguments.no_shrink).then_some(shrink),
        })
    }

    fn run(mut self) -> u8 {
        let header = banner(&self.record.origin);
        let interrupted = interrupted();
        println!("{header}");
        let ended = self.sweep(&interrupted);
        // Now, and once more when plans are small: that takes its time.
        let kept = self.keep();
        println!("{header}");
        println!("{}", summary(&self.record.outcome));
        match ended {
            Ended::Interrupted => println!("it was told to stop; --json and --resume keep what it has"),
            Ended::Stable => println!("the last {} seeds showed nothing new", self.record.outcome.quiet),
            Ended::Done | Ended::Time | Ended::Failures => {}
        }
        let code = if self.record.outcome.found.is_empty() {
            println!("all {} seeds passed", self.record.outcome.seeds);
            let code = super::probes::judge(&self.record.origin, &self.record.outcome);
            if ended == Ended::Interrupted { EXIT_INCOMPLETE } else { code }
        } else {
            self.tell_failures(&interrupted)
        };
        let files = || self.keep().and_then(|()| self.files.write(std::slice::from_ref(&self.record)));
        let kept = kept.and_then(|()| files());
        let Record { origin, outcome } = &self.record;
        let found = outcome.in_order(origin.seed_base);
        found.iter().rev().for_each(|(_, found)| println!("{}", origin.repro(found)));
        if let Err(message) = kept {
            eprintln!("{message}");
            return EXIT_USAGE;
        }
        code
    }

    /// All that was found, each with its plan, and that made small; returns the exit code.
    fn tell_failures(&mut self, interrupted: &AtomicBool) -> u8 {
        let Record { origin, outcome } = &self.record;
        print!("{}", stories(origin, outcome));
        let found = outcome.in_order(origin.seed_base).into_iter();
        let found: Vec<(String, Found)> = found.map(|(name, found)| (name.to_owned(), found.clone())).collect();
        found.iter().for_each(|(_, found)| self.save(found.seed));
        let start = Instant::now();
        for (fingerprint, first) in found.iter().filter(|(_, first)| first.small.is_none()) {
            if first.oracle == "S7" {
                // What differs from run to run cannot be told smaller from gone.
                print!("{}", super::trace::part(&self.batch.plan(first.seed)));
                continue;
            }
            let Some(budget) = self.shrink else { continue };
            if interrupted.load(Ordering::Relaxed) {
                break;
            }
            if found.len() > 1 {
                println!("seed {:#x}, {fingerprint}:", first.seed);
            }
            let left = (budget.time * SHRINKS).saturating_sub(start.elapsed());
            if left.is_zero() {
                println!("no time is left for its plan: cargo sim shrink repro/{:#x}.toml", first.seed);
                continue;
            }
            let small = self.small(first, Budget { time: budget.time.min(left), ..budget });
            if let Some(found) = self.record.outcome.found.get_mut(fingerprint) {
                found.small = small;
            }
        }
        if found[0].1.oracle == "S7" { EXIT_NOT_DETERMINISTIC } else { EXIT_BUG }
    }

    fn sweep(&mut self, interrupted: &AtomicBool) -> Ended {
        let before = self.record.outcome.real_ms;
        let mut outcome = std::mem::take(&mut self.record.outcome);
        let progress = Progress::new(&self.batch, outcome.seeds);
        let (start, mut saved) = (Instant::now(), Instant::now());
        let origin = &self.record.origin;
        let ended = sweep(&self.batch, &mut outcome, interrupted, |outcome| {
            progress.seed_done(outcome);
            if let Some(path) = &self.state
                && saved.elapsed() > SAVE_EVERY
            {
                saved = Instant::now();
                let real_ms = before + start.elapsed().as_millis() as u64;
                let outcome = Outcome { real_ms, incomplete: true, ..outcome.clone() };
                // When it fails, so will the last one, which tells.
                drop(Record { origin: origin.clone(), outcome }.write(path));
            }
        });
        outcome.real_ms = before + progress.finish().as_millis() as u64;
        outcome.incomplete = ended == Ended::Interrupted;
        self.record.outcome = outcome;
        ended
    }

    fn keep(&self) -> Result<(), String> {
        self.state.as_ref().map_or(Ok(()), |path| self.record.write(path))
    }

    fn save(&self, seed: u64) {
        match save_plan(&self.batch.plan(seed)) {
            Ok(path) => println!("plan: {}", path.display()),
            Err(error) => println!("the plan could not be kept: {error}"),
        }
    }

    /// Makes the plan of a failure small, if that can be.
    fn small(&self, found: &Found, budget: Budget) -> Option<Small> {
        let plan = self.batch.plan(found.seed);
        if found.oracle == WATCHDOG {
            println!("it does not come to its end: {UNREPEATED}");
            return None;
        }
        let failures = runner::run(&plan, Options::default()).failures;
        if failures.is_empty() {
            println!("seed {:#x} passes when it runs again", found.seed);
            return None;
        }
        let small = shrink_and_keep(&plan, &failures, None, budget);
        small.inspect_err(|message| println!("{message}")).ok()
    }
}

/// The outcome of an earlier run that was to do the same.
fn resumed(origin: &Origin, earlier: Record) -> Result<Outcome, String> {
    if let Some(difference) = earlier.origin.difference(origin) {
        return Err(format!("--resume: these do not belong together: {difference}"));
    }
    let seeds = |origin: &Origin| format!("seeds from {:#x}, shard {}", origin.seed_base, origin.shard);
    if seeds(&earlier.origin) != seeds(origin) {
        return Err(format!("--resume: it has {}, and not {}", seeds(&earlier.origin), seeds(origin)));
    }
    Ok(earlier.outcome)
}

/// Set by Ctrl-C and by SIGTERM; the second time they end the process at once.
fn interrupted() -> Arc<AtomicBool> {
    let interrupted = Arc::new(AtomicBool::new(false));
    for signal in [SIGINT, SIGTERM] {
        // Without them a signal ends the process as it ever did.
        drop(flag::register_conditional_shutdown(signal, EXIT_INCOMPLETE.into(), interrupted.clone()));
        drop(flag::register(signal, interrupted.clone()));
    }
    interrupted
}
