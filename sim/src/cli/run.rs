//! `run`: a batch with all that belongs to it.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};

use clap::Args;
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::flag;

use super::batch::{Batch, Ended, sweep};
use super::files::Files;
use super::record::{Found, Origin, Outcome, Record};
use super::report::{Progress, banner, save_plan, stories, summary};
use super::shard::Shard;
use super::shrink::shrink_and_keep;
use super::{Common, EXIT_BUG, EXIT_INTERRUPTED, EXIT_NOT_DETERMINISTIC, EXIT_USAGE, jobs};
use crate::plan::parse_seed;
use crate::runner::{self, Options};
use crate::shrink::Budget;

/// Seeds, when nothing says when to stop.
const SEEDS: u64 = 100;
/// Fingerprints after which a run that keeps going gives up.
const FAILURES: usize = 100;
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
    /// Leave the plan of the first failure as big as it is.
    #[arg(long)]
    no_shrink: bool,
    /// Real time for making it smaller, in seconds.
    #[arg(long, default_value_t = 60)]
    shrink_time: u64,
    #[command(flatten)]
    common: Common,
}

/// Runs the batch with banner, progress, files and summary, and makes the plan of the first failure small; returns the
/// exit code.
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
        let kept = self.keep().and_then(|()| self.files.write(std::slice::from_ref(&self.record)));
        let Record { origin, outcome } = &self.record;
        println!("{header}");
        println!("{}", summary(outcome));
        match ended {
            Ended::Interrupted => println!("it was told to stop; --json and --resume keep what it has"),
            Ended::Stable => println!("the last {} seeds showed nothing new", outcome.quiet),
            Ended::Done | Ended::Time | Ended::Failures => {}
        }
        if let Err(message) = kept {
            eprintln!("{message}");
            return EXIT_USAGE;
        }
        let found = outcome.in_order(origin.seed_base);
        let Some((_, first)) = found.first() else {
            println!("all {} seeds passed", outcome.seeds);
            let code = super::probes::judge(&self.batch, outcome);
            return if ended == Ended::Interrupted { EXIT_INTERRUPTED } else { code };
        };
        print!("{}", stories(origin, outcome));
        found.iter().for_each(|(_, found)| self.save(found.seed));
        // What differs from run to run cannot be told smaller from gone.
        let deterministic = first.oracle != "S7";
        if !deterministic {
            print!("{}", super::trace::part(&self.batch.plan(first.seed)));
        } else if ended != Ended::Interrupted {
            self.shrink(first);
        }
        found.iter().rev().for_each(|(_, found)| println!("{}", origin.repro(found)));
        if deterministic { EXIT_BUG } else { EXIT_NOT_DETERMINISTIC }
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

    fn shrink(&self, found: &Found) {
        let Some(budget) = self.shrink else {
            return;
        };
        let plan = self.batch.plan(found.seed);
        let failures = runner::run(&plan, Options::default()).failures;
        if failures.is_empty() {
            println!("seed {:#x} passes when it runs again", found.seed);
        } else if let Err(message) = shrink_and_keep(&plan, &failures, None, budget) {
            println!("{message}");
        }
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
        drop(flag::register_conditional_shutdown(signal, EXIT_INTERRUPTED.into(), interrupted.clone()));
        drop(flag::register(signal, interrupted.clone()));
    }
    interrupted
}
