//! Which parts of a plan a failure needs, and when its faults have to strike.

use std::ops::RangeInclusive;

use serde::Deserialize;
use toml::Table;

use super::edits::{self, Edit, Pass};
use super::{breaks, side_by_side};
use crate::plan::{Plan, Trigger};
use crate::verdict::Failure;

/// Runs that look for one end of the time in which a fault may strike.
const PROBES_MAX: u32 = 24;

/// A part of a plan.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Cause {
    /// What it is, in the words of the plan.
    pub part: String,
    /// Without it the rule is not broken.
    pub needed: bool,
    /// For a fault that is needed: in the unit of its trigger, when it may strike so that the rule is broken.
    pub window: Option<Window>,
}

/// When a fault breaks the rule.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Window {
    /// From the first to the last moment found; moments in between were not all tried.
    pub moments: RangeInclusive<u64>,
    /// "us", or what is counted: "events", "R2Ts", ...
    pub unit: &'static str,
}

/// What of `plan` the rule of `failure` needs: faults, operations, then initiators, units and parameters.
#[must_use]
pub fn causes(plan: &Plan, failure: &Failure, jobs: usize) -> Vec<Cause> {
    let tree = Table::try_from(plan).expect("a plan is a table");
    let rule = failure.rule();
    let mut causes = Vec::new();
    for pass in [Pass::Faults, Pass::Choices, Pass::Operations, Pass::Initiators, Pass::Nodes, Pass::Parameters] {
        let edits = edits::of(&tree, pass).into_iter();
        let alone: Vec<(Edit, Plan)> =
            edits.filter_map(|edit| without(&tree, &edit).map(|plan| (edit, plan))).collect();
        let plans = alone.iter().map(|(_, plan)| Some(plan)).collect::<Vec<_>>();
        let broken: Vec<bool> = plans
            .chunks(jobs.max(1))
            .flat_map(|plans| side_by_side(plans, &rule))
            .map(|broken| broken.is_some())
            .collect();
        for ((index, (edit, _)), still) in alone.iter().enumerate().zip(broken) {
            let window = (pass == Pass::Faults && !still).then(|| window(plan, index, &rule));
            causes.push(Cause { part: edit.told(&tree), needed: !still, window });
        }
    }
    causes
}

fn without(tree: &Table, edit: &Edit) -> Option<Plan> {
    Plan::deserialize(edits::apply(tree, std::slice::from_ref(edit))).ok()
}

/// Moves the fault at `index` to earlier and later moments.
fn window(plan: &Plan, index: usize, rule: &str) -> Window {
    let when = plan.faults[index].when;
    let moment = when.count();
    let unit = match when {
        Trigger::AtUs(_) => "us",
        Trigger::AfterEvents(_) => "events",
        Trigger::OnNth { kind, .. } => kind.plural(),
    };
    let broken_at = |moment: u64| {
        let mut moved = plan.clone();
        moved.faults[index].when = when.with_count(moment);
        breaks(&moved, rule).is_some()
    };
    let earliest = edge(moment, |distance| moment.checked_sub(distance), &broken_at);
    let latest = edge(moment, |distance| moment.checked_add(distance), &broken_at);
    Window { moments: earliest..=latest, unit }
}

/// The moment farthest from `start` that can be reached over moments at which the rule is broken: in steps twice as long
/// each time, and then half as long.
fn edge(start: u64, at: impl Fn(u64) -> Option<u64>, broken_at: &impl Fn(u64) -> bool) -> u64 {
    let (mut reached, mut step, mut probes) = (0, 1, 0);
    let mut growing = true;
    while probes < PROBES_MAX && step > 0 {
        probes += 1;
        if at(reached + step).is_some_and(broken_at) {
            reached += step;
            step = if growing { step * 2 } else { step / 2 };
        } else {
            growing = false;
            step /= 2;
        }
    }
    at(reached).unwrap_or(start)
}
