//! Many seeds on several threads. What comes of them is added up in the order of the seeds, whoever is ready first: a
//! batch that ends by what it has seen ends at the same seed with any number of jobs.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use quintain_core::planted::{CATALOGUE, SIMULATOR};

use super::record::Outcome;
use super::shard::Shard;
use crate::plan::{Plan, Profile, Schedule};
use crate::random::Draws;
use crate::runner::{self, Options};
use crate::verdict::Verdict;

/// One seed in this many is run twice (S7).
const TWICE_ONE_IN: u64 = 20;

/// What to run, and when to stop.
pub(super) struct Batch {
    /// Of all shards together; none: until something else ends it.
    pub(super) seeds: Option<u64>,
    pub(super) seed_base: u64,
    pub(super) shard: Shard,
    pub(super) jobs: usize,
    pub(super) profile: Profile,
    pub(super) planted: Option<String>,
    /// Tasks run by priorities in every seed.
    pub(super) priorities: bool,
    /// Stop when there are so many fingerprints.
    pub(super) failures: usize,
    /// Stop when so many seeds in a row brought nothing new.
    pub(super) until_stable: Option<u64>,
    /// Begin no seed after so much real time.
    pub(super) time: Option<Duration>,
}

/// Why a batch ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Ended {
    /// All its seeds ran.
    Done,
    /// It found as much as it was to find.
    Failures,
    /// Nothing new came any more.
    Stable,
    /// Its time was up.
    Time,
    /// It was told to stop from outside.
    Interrupted,
}

impl Batch {
    /// One machine, up to the first failure.
    pub(super) fn first_failure(
        seeds: u64,
        seed_base: u64,
        jobs: usize,
        profile: Profile,
        planted: Option<String>,
    ) -> Self {
        let (shard, seeds) = (Shard::WHOLE, Some(seeds));
        let (failures, until_stable, time) = (1, None, None);
        Self { seeds, seed_base, shard, jobs, profile, planted, priorities: false, failures, until_stable, time }
    }

    /// Its seeds.
    pub(super) fn share(&self) -> Option<u64> {
        self.seeds.map(|seeds| self.shard.share(seeds))
    }

    /// The plan of one of its seeds.
    pub(super) fn plan(&self, seed: u64) -> Plan {
        let mut plan = Plan { planted: self.planted.clone(), ..Plan::generate(seed, self.profile) };
        if self.priorities {
            plan.schedule = Some(Schedule::generate(seed));
        }
        plan
    }

    fn has_ended(&self, outcome: &Outcome) -> Option<Ended> {
        if outcome.found.len() >= self.failures {
            return Some(Ended::Failures);
        }
        if self.share().is_some_and(|share| outcome.seeds >= share) {
            return Some(Ended::Done);
        }
        self.until_stable.is_some_and(|quiet| outcome.quiet >= quiet).then_some(Ended::Stable)
    }

    fn run_one(&self, seed: u64) -> (Verdict, bool) {
        let plan = self.plan(seed);
        let mut verdict = runner::run(&plan, Options::default());
        let chosen = Draws::new(seed, "twice", 0).chance(1, TWICE_ONE_IN);
        let chosen = chosen && self.planted.is_none() || self.planted.as_deref().is_some_and(is_of_the_simulator);
        let twice = chosen && verdict.trace_hash != 0;
        if twice {
            let again = runner::run(&plan, Options { limit: Duration::from_secs(240), ..Options::default() });
            if let Some(difference) = verdict.difference(&again) {
                verdict.failures.insert(0, difference);
            }
        }
        (verdict, twice)
    }
}

/// A planted bug that may make two runs of one seed differ.
fn is_of_the_simulator(planted: &str) -> bool {
    CATALOGUE.iter().any(|entry| entry.name == planted && entry.class == SIMULATOR)
}

/// Runs the seeds that `outcome` does not have yet. `interrupted` stops it from outside; what runs then comes to its end.
/// `watch` sees each step.
pub(super) fn sweep(
    batch: &Batch,
    outcome: &mut Outcome,
    interrupted: &AtomicBool,
    mut watch: impl FnMut(&Outcome),
) -> Ended {
    let start = Instant::now();
    let mut ended = batch.has_ended(outcome);
    if let Some(ended) = ended {
        return ended;
    }
    let (next, stop) = (AtomicU64::new(outcome.seeds), AtomicBool::new(false));
    let share = batch.share().unwrap_or(u64::MAX);
    let goes_on = || {
        let in_time = batch.time.is_none_or(|time| start.elapsed() < time);
        in_time && !stop.load(Ordering::Relaxed) && !interrupted.load(Ordering::Relaxed)
    };
    std::thread::scope(|scope| {
        let (sender, receiver) = mpsc::channel();
        for _ in 0..batch.jobs {
            let (sender, next, goes_on) = (sender.clone(), &next, &goes_on);
            scope.spawn(move || {
                while goes_on() {
                    let index = next.fetch_add(1, Ordering::Relaxed);
                    if index >= share {
                        break;
                    }
                    let seed = batch.shard.seed(batch.seed_base, index);
                    let (verdict, twice) = batch.run_one(seed);
                    if sender.send((index, (seed, verdict, twice))).is_err() {
                        break;
                    }
                }
            });
        }
        drop(sender);
        let mut early = BTreeMap::new();
        for (index, result) in receiver {
            early.insert(index, result);
            while ended.is_none()
                && let Some((seed, verdict, twice)) = early.remove(&outcome.seeds)
            {
                outcome.add(seed, &verdict, twice);
                ended = batch.has_ended(outcome);
                stop.store(ended.is_some(), Ordering::Relaxed);
                watch(outcome);
            }
        }
    });
    let outside = if interrupted.load(Ordering::Relaxed) { Ended::Interrupted } else { Ended::Time };
    ended.unwrap_or(outside)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outcome(jobs: usize, change: impl FnOnce(&mut Batch)) -> (Outcome, Ended) {
        let planted = Some("ordered-overtakes".to_owned());
        let mut batch = Batch::first_failure(12, 0, jobs, Profile::Lite, planted);
        change(&mut batch);
        let mut outcome = Outcome::default();
        let ended = sweep(&batch, &mut outcome, &AtomicBool::new(false), |_| ());
        (outcome, ended)
    }

    #[test]
    fn batch_ends_at_the_same_seed_with_any_number_of_jobs() {
        let (alone, ended) = outcome(1, |_| ());
        assert_eq!((alone.found.len(), ended), (1, Ended::Failures));
        assert_eq!(outcome(3, |_| ()), (alone.clone(), ended));
        let found = alone.found.values().next().expect("there is one");
        assert_eq!((found.seed + 1, found.oracle.as_str()), (alone.seeds, "T1"));
    }

    #[test]
    fn shards_and_a_run_that_was_resumed_show_what_one_run_shows() {
        let all = |batch: &mut Batch| batch.failures = 100;
        let (whole, ended) = outcome(2, all);
        assert_eq!((whole.seeds, ended), (12, Ended::Done));
        let mut halves = (0..2).map(|number| {
            let shard = format!("{number}/2").parse().expect("it is one");
            outcome(1, |batch| (batch.failures, batch.shard) = (100, shard)).0
        });
        let (even, odd) = (halves.next().expect("two"), halves.next().expect("two"));
        assert_eq!(even.seeds + odd.seeds, 12);
        assert!(whole.paths.len() > 100, "{} paths", whole.paths.len());
        assert_eq!(even.stats.events + odd.stats.events, whole.stats.events);
        assert_eq!(&even.paths | &odd.paths, whole.paths);
        let (mut resumed, _) = outcome(1, |batch| (batch.failures, batch.seeds) = (100, Some(5)));
        let mut rest = Batch::first_failure(12, 0, 1, Profile::Lite, Some("ordered-overtakes".to_owned()));
        rest.failures = 100;
        assert_eq!(sweep(&rest, &mut resumed, &AtomicBool::new(true), |_| ()), Ended::Interrupted);
        assert_eq!(resumed.seeds, 5);
        assert_eq!(sweep(&rest, &mut resumed, &AtomicBool::new(false), |_| ()), Ended::Done);
        assert_eq!(resumed, whole);
    }
}
