//! Until when it helps that the faults of a plan end, and attacks with them.

use std::time::Duration;

use super::RUN_MAX;
use crate::plan::Plan;
use crate::runner::{self, Options};
use crate::verdict::{Failure, WATCHDOG};

/// A virtual time, in microseconds: when all faults and attacks end then, `plan` keeps the rule of `failure`, and a
/// microsecond later it breaks it. Found by halving: if there are several such moments, it is one of them. `None` when it
/// breaks the rule without any fault, or takes too long to find out.
#[must_use]
pub fn last_help_us(plan: &Plan, failure: &Failure) -> Option<u64> {
    let rule = failure.rule();
    let run = |calm: Option<u64>| {
        let calm = calm.map(Duration::from_micros);
        let verdict = runner::run(plan, Options { limit: RUN_MAX, calm, ..Options::default() });
        (!verdict.failures.iter().any(|failure| failure.oracle == WATCHDOG)).then_some(verdict)
    };
    let is_broken = |us| run(Some(us)).map(|verdict| verdict.failures.iter().any(|failure| failure.rule() == rule));
    if plan.faults.is_empty() || is_broken(0)? {
        return None;
    }
    // By the end of the run all faults have ended.
    let (mut helps, mut too_late) = (0, run(None)?.stats.virtual_us);
    if !is_broken(too_late)? {
        return None;
    }
    while too_late - helps > 1 {
        let middle = helps.midpoint(too_late);
        if is_broken(middle)? { too_late = middle } else { helps = middle }
    }
    Some(helps)
}
