//! Puts a pause in the place of steps that go, so that those behind them begin when they did. A race needs two things to
//! happen at the right times, and mostly nothing else.

use std::collections::BTreeSet;

use crate::beginnings::Beginnings;
use crate::initiator::InitiatorPlan;
use crate::initiator::plan::{Attribute, Step, Verb};
use crate::plan::{Plan, StepName};

/// Fills the gaps that `plan` has where `before` had steps.
pub(super) fn fill(plan: &mut Plan, before: &Plan, beginnings: &Beginnings) {
    for initiator in &mut plan.initiators {
        if let Some(before) = before.initiators.iter().find(|before| before.index == initiator.index) {
            initiator.steps = filled(initiator, &before.steps, beginnings);
        }
    }
}

fn filled(initiator: &InitiatorPlan, before: &[Step], beginnings: &Beginnings) -> Vec<Step> {
    let kept: BTreeSet<u32> = initiator.steps.iter().map(|step| step.id).collect();
    let began = |step: &Step| beginnings.at_us(StepName { initiator: initiator.index, step: step.id });
    let mut gone: Vec<bool> = before.iter().map(|step| !kept.contains(&step.id)).collect();
    // A pause beside a gap becomes part of it.
    let pause = |at: usize| matches!(before[at].verb, Verb::Pause { .. });
    (1..before.len()).for_each(|at| gone[at] |= pause(at) && gone[at - 1]);
    (1..before.len()).rev().for_each(|at| gone[at - 1] |= pause(at - 1) && gone[at]);
    let mut steps = Vec::new();
    let mut from = before.first().and_then(began);
    let mut gap = None;
    for (step, gone) in before.iter().zip(gone) {
        if gone {
            gap.get_or_insert(step.id);
            continue;
        }
        let begins = began(step);
        if let (Some(id), Some(from), Some(to)) = (gap.take(), from, begins)
            && to > from
        {
            let verb = Verb::Pause { ms: (to - from) / 1_000, us: (to - from) % 1_000 };
            steps.push(Step { id, attribute: Attribute::default(), immediate: false, flat: false, verb });
        }
        steps.push(step.clone());
        from = begins;
    }
    steps
}
