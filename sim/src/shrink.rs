//! Makes the plan of a failure small: first faults, then operations, then nodes, then parameters.
//!
//! A plan is a tree of TOML. An edit takes a part of it away, so that it becomes its default, or halves a number. A
//! pass tries edits in big groups first and in ever smaller ones after, and keeps a group if the run still breaks the
//! same rule (delta debugging, of which only the "complement" half is needed, as every draw is keyed and one part of a
//! plan moves no other). What is left has to happen at the same time as before: faults are bound to steps first
//! (`anchors.rs`), and pauses take the place of steps (`pauses.rs`). What is tried, and in which order, does not depend
//! on how many are tried at a time.
//!
//! A race is lost when what it runs against moves. So at the end operations are tried once more with everything shaken.

mod anchors;
mod calm;
mod causes;
mod edits;
mod pauses;
#[cfg(test)]
mod tests;

use std::fmt;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};
use toml::Table;

use crate::beginnings::Beginnings;
use crate::plan::Plan;
use crate::random::Draws;
use crate::runner::{self, Options};
use crate::verdict::{Failure, Verdict};
pub use calm::last_help_us;
pub use causes::{Cause, Window, causes};
use edits::{Edit, Pass};

/// Real time for one run of a candidate: one that takes longer is not smaller in any useful sense.
const RUN_MAX: Duration = Duration::from_secs(20);
/// A pass that follows changes of a later one may find more; after so many rounds it does not.
const ROUNDS: usize = 8;
/// Where nothing else helps, operations are left out while everything happens at so many other moments.
const SHAKES: u64 = 9;

/// How to shrink.
#[derive(Clone, Copy, Debug)]
pub struct Budget {
    /// Runs at a time.
    pub jobs: usize,
    /// Real time; what has been reached by then is the result.
    pub time: Duration,
    /// Runs; what has been reached by then is the result, which is the same on every machine.
    pub runs: u64,
}

/// A plan, made small.
#[derive(Clone, Debug)]
pub struct Shrunk {
    /// The smallest plan found; it breaks the same rule.
    pub plan: Plan,
    /// What it breaks.
    pub failures: Vec<Failure>,
    /// Runs it took, as if there had been one at a time.
    pub runs: u64,
    /// Whether nothing was left to try.
    pub complete: bool,
}

/// How big a plan is.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Size {
    /// Steps and attacks of all initiators.
    pub operations: usize,
    /// Faults.
    pub faults: usize,
    /// Initiators.
    pub initiators: usize,
}

/// "1 operation, 2 faults".
impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let plural = |count| if count == 1 { "" } else { "s" };
        let &Self { operations, faults, .. } = self;
        write!(f, "{operations} operation{}, {faults} fault{}", plural(operations), plural(faults))
    }
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

/// Makes `plan` as small as it gets while it breaks the rule of `failures`, the first one.
#[must_use]
pub fn shrink(plan: &Plan, failures: &[Failure], budget: Budget) -> Shrunk {
    let tree = Table::try_from(plan).expect("a plan is a table");
    let broken = Broken { failures: failures.to_vec(), beginnings: Beginnings::default() };
    let (rule, start) = (failures[0].rule(), Instant::now());
    let mut shrinker = Shrinker { rule, tree, best: plan.clone(), broken, budget, start, runs: 0 };
    if !shrinker.is_over() {
        shrinker.first_that_fails(vec![Some(plan.clone())]);
    }
    for _ in 0..ROUNDS {
        let before = shrinker.tree.clone();
        shrinker.bind_faults();
        Pass::ALL.into_iter().for_each(|pass| shrinker.pass(pass, 0));
        if shrinker.tree == before {
            (1..=SHAKES).for_each(|shake| shrinker.pass(Pass::Operations, shake));
        }
        if shrinker.is_over() || shrinker.tree == before {
            break;
        }
    }
    let complete = !shrinker.is_over();
    Shrunk { plan: shrinker.best, failures: shrinker.broken.failures, runs: shrinker.runs, complete }
}

struct Shrinker {
    /// [`Failure::rule`].
    rule: String,
    /// The smallest plan so far, as a tree.
    tree: Table,
    /// The same as a plan.
    best: Plan,
    /// What its run was like.
    broken: Broken,
    budget: Budget,
    start: Instant,
    runs: u64,
}

/// A run that broke the rule.
struct Broken {
    /// That rule first.
    failures: Vec<Failure>,
    beginnings: Beginnings,
}

impl Shrinker {
    /// Lets the faults count from steps, as far as the rule is still broken.
    fn bind_faults(&mut self) {
        let all = anchors::bound(&self.best, &self.broken.beginnings, |_| true);
        if self.is_over() || all == self.best || self.first_that_fails(vec![Some(all)]).is_some() {
            return;
        }
        for id in self.best.faults.iter().map(|fault| fault.id).collect::<Vec<_>>() {
            let one = anchors::bound(&self.best, &self.broken.beginnings, |fault| fault.id == id);
            if !self.is_over() && one != self.best {
                self.first_that_fails(vec![Some(one)]);
            }
        }
    }

    /// Tries the edits of one kind, all at once, then by halves, and so on; see [`shake`].
    fn pass(&mut self, pass: Pass, shake: u64) {
        let mut edits = self.edits(pass);
        let mut size = edits.len();
        while size > 0 {
            let mut position = 0;
            while position < edits.len() && !self.is_over() {
                let groups: Vec<&[Edit]> = edits[position..].chunks(size).take(self.at_a_time()).collect();
                let candidates = groups.iter().map(|group| self.candidate(pass, group, shake)).collect();
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
            edits.retain(|edit| self.candidate(pass, std::slice::from_ref(edit), 0).is_some());
        }
        edits
    }

    fn candidate(&self, pass: Pass, edits: &[Edit], number: u64) -> Option<Plan> {
        let mut plan = Plan::deserialize(edits::apply(&self.tree, edits)).ok()?;
        let same_time = pass == Pass::Pauses;
        if same_time {
            pauses::fill(&mut plan, &self.best, &self.broken.beginnings);
        }
        anchors::mend(&mut plan, &self.broken.beginnings, same_time);
        if number > 0 {
            shake(&mut plan, number);
        }
        (plan != self.best).then_some(plan)
    }

    /// Runs the candidates side by side; takes over the first that breaks the rule and says which it was.
    fn first_that_fails(&mut self, candidates: Vec<Option<Plan>>) -> Option<usize> {
        let plans: Vec<Option<&Plan>> = candidates.iter().map(Option::as_ref).collect();
        let mut results = side_by_side(&plans, &self.rule);
        let found = results.iter().position(Option::is_some);
        // What ran beside it and comes behind it would not have run alone.
        let ran = &candidates[..found.map_or(candidates.len(), |index| index + 1)];
        self.runs += ran.iter().flatten().count() as u64;
        let index = found?;
        if let (Some(plan), Some(broken)) = (candidates.into_iter().nth(index)?, results.swap_remove(index)) {
            self.tree = Table::try_from(&plan).expect("a plan is a table");
            self.best = plan;
            self.broken = broken;
        }
        Some(index)
    }

    /// Runs side by side: no more than are left.
    fn at_a_time(&self) -> usize {
        let left = self.budget.runs.saturating_sub(self.runs);
        self.budget.jobs.min(usize::try_from(left).unwrap_or(usize::MAX)).max(1)
    }

    fn is_over(&self) -> bool {
        self.runs >= self.budget.runs || self.start.elapsed() > self.budget.time
    }
}

/// Moves what a race depends on, in one of [`SHAKES`] ways: the moments of the faults, to half or up to twice of what they
/// were, or with the seed every draw of the run, or both.
fn shake(plan: &mut Plan, number: u64) {
    let mut draws = Draws::new(plan.seed, "shake", number);
    let (faults, seed) = [(true, true), (true, false), (false, true)][number as usize % 3];
    if faults {
        for fault in &mut plan.faults {
            let count = fault.when.count();
            fault.when = fault.when.with_count(draws.between((count / 2).max(1), count.saturating_mul(2).max(1)));
        }
    }
    if seed {
        plan.seed = draws.u64();
    }
}

/// [`breaks`] for each of `plans`.
fn side_by_side(plans: &[Option<&Plan>], rule: &str) -> Vec<Option<Broken>> {
    std::thread::scope(|scope| {
        let runs: Vec<_> = plans.iter().map(|plan| scope.spawn(move || breaks((*plan)?, rule))).collect();
        runs.into_iter().map(|run| run.join().unwrap_or(None)).collect()
    })
}

/// What a run of `plan` is like, if it breaks `rule`. A plan with a planted bug has to pass without it.
fn breaks(plan: &Plan, rule: &str) -> Option<Broken> {
    let options = || Options { limit: RUN_MAX, ..Options::default() };
    let Verdict { mut failures, beginnings, .. } = runner::run(plan, options());
    let index = failures.iter().position(|failure| failure.rule() == rule)?;
    failures.swap(0, index);
    let sound = || runner::run(&Plan { planted: None, ..plan.clone() }, options()).passed();
    (plan.planted.is_none() || sound()).then_some(Broken { failures, beginnings })
}
