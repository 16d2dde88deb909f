//! Binds faults to steps. A fault that strikes at a time, or at the n-th event, moves against the steps when some before
//! it go. One that counts from when a step began stays with that step.

use std::collections::BTreeSet;

use crate::beginnings::{Beginnings, Mark};
use crate::initiator::InitiatorPlan;
use crate::plan::{Fault, Plan, StepName, Trigger};

/// `plan` with the faults that `chosen` picks bound to the last step that began before they struck: they strike when they
/// did, as long as the run is the same.
pub(super) fn bound(plan: &Plan, beginnings: &Beginnings, chosen: impl Fn(&Fault) -> bool) -> Plan {
    let (mut plan, steps) = (plan.clone(), steps(plan));
    for fault in plan.faults.iter_mut().filter(|fault| fault.since.is_none() && chosen(fault)) {
        let struck = beginnings.warm_up.count(fault.when) + fault.when.count();
        let before = |mark: &Mark| mark.count(fault.when) < struck;
        if let Some((step, mark)) = last(&beginnings.steps, &beginnings.warm_up, &steps, before) {
            fault.since = Some(step);
            fault.when = fault.when.with_count(struck - mark.count(fault.when));
        }
    }
    plan
}

/// A fault that is bound to a step which is not in `plan` any more is bound to the last one before it that is. With
/// `same_time`, one that strikes at a time does so when it did; otherwise it is as close to its new step as to the old one.
pub(super) fn mend(plan: &mut Plan, beginnings: &Beginnings, same_time: bool) {
    let steps = steps(plan);
    for fault in &mut plan.faults {
        let Some(gone) = fault.since.filter(|step| !steps.contains(step)) else { continue };
        let Some(place) = beginnings.steps.iter().position(|(step, _)| *step == gone) else { continue };
        let began = &beginnings.steps[place].1;
        let (step, mark) = match last(&beginnings.steps[..place], &beginnings.warm_up, &steps, |_| true) {
            Some((step, mark)) => (Some(step), mark),
            None => (None, &beginnings.warm_up),
        };
        fault.since = step;
        if let (Trigger::AtUs(us), true) = (fault.when, same_time) {
            fault.when = Trigger::AtUs(us + began.at_us.saturating_sub(mark.at_us));
        }
    }
}

/// The last of the `steps` in `begun` that began `before` something, and not in the warm-up.
fn last<'a>(
    begun: &'a [(StepName, Mark)],
    warm_up: &Mark,
    steps: &BTreeSet<StepName>,
    before: impl Fn(&Mark) -> bool,
) -> Option<(StepName, &'a Mark)> {
    let fits = |mark: &Mark| mark.at_us >= warm_up.at_us && before(mark);
    let found = begun.iter().rev().find(|(step, mark)| steps.contains(step) && fits(mark));
    found.map(|(step, mark)| (*step, mark))
}

/// All steps and attacks of `plan`.
fn steps(plan: &Plan) -> BTreeSet<StepName> {
    let of = |initiator: &InitiatorPlan| {
        let attacks = initiator.hostile.iter().flat_map(|hostile| hostile.attacks.iter().map(|attack| attack.id));
        let ids = initiator.steps.iter().map(|step| step.id).chain(attacks);
        ids.map(|step| StepName { initiator: initiator.index, step }).collect::<Vec<_>>()
    };
    plan.initiators.iter().flat_map(of).collect()
}
