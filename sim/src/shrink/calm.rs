//! Until when it helps that the faults of a plan end.

use std::time::Duration;

use super::RUN_MAX;
use crate::plan::Plan;
use crate::runner::{self, Options};
use crate::verdict::Failure;

/// The last virtual time, in microseconds, at which the end of all faults still keeps `plan` from breaking the rule of
/// `failure`: when they end later, it is broken, whatever comes. `None` when it needs no fault at all. Found by halving,
/// so that of several such moments it is one.
#[must_use]
pub fn last_help_us(plan: &Plan, failure: &Failure) -> Option<u64> {
    let rule = failure.rule();
    let run = |calm: Option<u64>| {
        let calm = calm.map(Duration::from_micros);
        runner::run(plan, Options { limit: RUN_MAX, calm, ..Options::default() })
    };
    let broken_at = |us| run(Some(us)).failures.iter().any(|failure| failure.rule() == rule);
    if plan.faults.is_empty() || broken_at(0) {
        return None;
    }
    // By the end of the run all faults have ended.
    let (mut helps, mut too_late) = (0, run(None).stats.virtual_us);
    while too_late - helps > 1 {
        let middle = helps.midpoint(too_late);
        if broken_at(middle) { too_late = middle } else { helps = middle }
    }
    Some(helps)
}
