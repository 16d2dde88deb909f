//! Rules that only a run can break: small plans, each with a planted bug that breaks one first, and without it none.

use super::{Finding, Judged, check};
use crate::plan::Plan;
use crate::runner::{self, Options};
use crate::verdict::ORACLES;

/// All of them; `finds` is the rule that they break.
const PLANS: &[&str] = &[
    include_str!("plans/buffer-leak-on-abort.toml"),
    include_str!("plans/draw-shared.toml"),
    include_str!("plans/event-dropped.toml"),
    include_str!("plans/maximum-refused.toml"),
    include_str!("plans/nullio-stale.toml"),
    include_str!("plans/padding-missing.toml"),
    include_str!("plans/serial-of-first.toml"),
    include_str!("plans/stranger-crashes.toml"),
    include_str!("plans/unit-takes-workers.toml"),
    include_str!("plans/worker-too-many.toml"),
];

/// Runs them all, each with and without its bug.
pub(super) fn judge() -> Vec<Judged> {
    PLANS.iter().flat_map(|text| judge_one(text)).collect()
}

/// Whatever else follows from it: what is found first is what the run is said to have broken.
fn judge_one(text: &str) -> [Judged; 2] {
    let plan = Plan::from_toml(text).expect("a plan that was compiled in is sound");
    let (name, found) = (plan.story.as_deref().unwrap_or_default(), plan.finds.as_deref());
    let rule = ORACLES.iter().map(|(id, _)| *id).find(|id| Some(*id) == found);
    let sound = Plan { planted: None, ..plan.clone() };
    [(rule, &plan), (None, &sound)].map(|(breaks, plan)| {
        let first = first_finding(plan, rule == Some("S7"));
        Judged { breaks, result: check(name, breaks, first.as_slice()) }
    })
}

fn first_finding(plan: &Plan, twice: bool) -> Option<Finding> {
    let run = || runner::run(plan, Options::default());
    let verdict = run();
    let difference = if twice { verdict.difference(&run()) } else { None };
    difference.or_else(|| verdict.failures.into_iter().next()).map(Finding::from)
}
