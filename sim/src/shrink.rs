//! Makes the plan of a failure small: first faults, then operations, then nodes, then parameters.
//!
//! A plan is a tree of TOML. An edit takes a part of it away, so that it becomes its default, or halves a number. A
//! pass tries edits in big groups first and in ever smaller ones after, and keeps a group if the run still breaks the
//! same rule (delta debugging, of which only the "complement" half is needed, as every draw is keyed and one part of a
//! plan moves no other). What is tried, and in which order, does not depend on how many are tried at a time.

mod causes;
mod edits;
#[cfg(test)]
mod tests;

use std::time::{Duration, Instant};

use serde::Deserialize;
use toml::Table;

use crate::plan::Plan;
use crate::runner::{self, Options};
use crate::verdict::Failure;
pub use causes::{Cause, Window, causes};
use edits::{Edit, Pass};

/// Real time for one run of a candidate: one that takes longer is not smaller in any useful sense.
const RUN_MAX: Duration = Duration::from_secs(20);
/// A pass that follows changes of a later one may find more; after so many rounds it does not.
const ROUNDS: usize = 8;

/// How to shrink.
#[derive(Clone, Copy, Debug)]
pub struct Budget {
    /// Runs at a time.
    pub jobs: usize,
    /// Real time; what has been reached by then is the result.
    pub time: Duration,
}

/// A plan, made small.
#[derive(Clone, Debug)]
pub struct Shrunk {
    /// The smallest plan found; it breaks the same rule.
    pub plan: Plan,
    /// What it breaks.
    pub failures: Vec<Failure>,
    /// Runs it took.
    pub runs: u64,
    /// Whether nothing was left to try.
    pub complete: bool,
}

/// How big a plan is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Size {
    /// Steps and attacks of all initiators.
    pub operations: usize,
    /// Faults.
    pub faults: usize,
    /// Initiators.
    pub initiators: usize,
}

impl Size {
    /// That of `plan`.
    #[must_use]
    pub fn of(plan: &Plan) -> Self {
        let operations = plan.initiators.iter().map(|initiator| {
            let attacks = initiator.hostile.as_ref().map_or(0, |hostile| hostile.attacks.len());
            initiator.steps.len() + attacks
        });
        Self { operations: operations.sum(), faults: plan.faults.len(), initiators: plan.initiators.len() }
    }
}

/// Makes `plan` as small as it gets while it breaks the rule of `failure`, its first one.
#[must_use]
pub fn shrink(plan: &Plan, failures: &[Failure], budget: Budget) -> Shrunk {
    let tree = Table::try_from(plan).expect("a plan is a table");
    let mut shrinker = Shrinker {
        rule: failures[0].rule(),
        tree,
        best: plan.clone(),
        failures: failures.to_vec(),
        budget,
        start: Instant::now(),
        runs: 0,
    };
    for _ in 0..ROUNDS {
        let before = shrinker.tree.clone();
        Pass::ALL.into_iter().for_each(|pass| shrinker.pass(pass));
        if shrinker.out_of_time() || shrinker.tree == before {
            break;
        }
    }
    let complete = !shrinker.out_of_time();
    Shrunk { plan: shrinker.best, failures: shrinker.failures, runs: shrinker.runs, complete }
}

struct Shrinker {
    /// [`Failure::rule`].
    rule: String,
    /// The smallest plan so far, as a tree.
    tree: Table,
    /// The same as a plan.
    best: Plan,
    failures: Vec<Failure>,
    budget: Budget,
    start: Instant,
    runs: u64,
}

/// A smaller tree and the plan that it is.
struct Candidate {
    tree: Table,
    plan: Plan,
}

impl Shrinker {
    /// Tries the edits of one kind, all at once, then by halves, and so on.
    fn pass(&mut self, pass: Pass) {
        let mut edits = self.edits(pass);
        let mut size = edits.len();
        while size > 0 {
            let mut position = 0;
            while position < edits.len() && !self.out_of_time() {
                let groups: Vec<&[Edit]> = edits[position..].chunks(size).take(self.budget.jobs.max(1)).collect();
                let candidates = groups.iter().map(|group| self.candidate(group)).collect();
                let first = self.first_that_fails(candidates);
                let kept = first.unwrap_or(groups.len());
                position += groups[..kept].iter().map(|group| group.len()).sum::<usize>();
                if first.is_some() {
                    // What was taken away is not in the list any more; what was halved may be halved again.
                    edits = self.edits(pass);
                }
            }
            size /= 2;
        }
    }

    /// The edits of `pass` that leave a plan.
    fn edits(&self, pass: Pass) -> Vec<Edit> {
        let mut edits = edits::of(&self.tree, pass);
        if pass.may_be_invalid() {
            edits.retain(|edit| self.candidate(std::slice::from_ref(edit)).is_some());
        }
        edits
    }

    fn candidate(&self, edits: &[Edit]) -> Option<Candidate> {
        let tree = edits::apply(&self.tree, edits);
        let plan = Plan::deserialize(tree.clone()).ok()?;
        (plan != self.best).then_some(Candidate { tree, plan })
    }

    /// Runs the candidates side by side; takes over the first that breaks the rule and says which it was.
    fn first_that_fails(&mut self, candidates: Vec<Option<Candidate>>) -> Option<usize> {
        self.runs += candidates.iter().flatten().count() as u64;
        let plans: Vec<Option<&Plan>> = candidates.iter().map(|it| it.as_ref().map(|it| &it.plan)).collect();
        let verdicts = side_by_side(&plans, &self.rule);
        let index = verdicts.iter().position(Option::is_some)?;
        let mut found = candidates.into_iter().zip(verdicts).nth(index);
        if let Some((Some(candidate), Some(failures))) = found.take() {
            self.tree = candidate.tree;
            self.best = candidate.plan;
            self.failures = failures;
        }
        Some(index)
    }

    fn out_of_time(&self) -> bool {
        self.start.elapsed() > self.budget.time
    }
}

/// [`breaks`] for each of `plans`.
fn side_by_side(plans: &[Option<&Plan>], rule: &str) -> Vec<Option<Vec<Failure>>> {
    std::thread::scope(|scope| {
        let runs: Vec<_> = plans.iter().map(|plan| scope.spawn(move || breaks((*plan)?, rule))).collect();
        runs.into_iter().map(|run| run.join().unwrap_or(None)).collect()
    })
}

/// What `plan` breaks, if `rule` is among it, that one first. A plan with a planted bug has to
/// pass without it.
fn breaks(plan: &Plan, rule: &str) -> Option<Vec<Failure>> {
    let options = || Options { limit: RUN_MAX, ..Options::default() };
    let mut failures = runner::run(plan, options()).failures;
    let index = failures.iter().position(|failure| failure.rule() == rule)?;
    failures.swap(0, index);
    let sound = || runner::run(&Plan { planted: None, ..plan.clone() }, options()).passed();
    (plan.planted.is_none() || sound()).then_some(failures)
}
